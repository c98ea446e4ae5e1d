"""Turns a git history into `commits`: every change considered, kept or rejected with its reason."""
