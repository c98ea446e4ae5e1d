"""Runs inside a sandbox: notes calls of the changed functions."""
