"""Runs inside a sandbox: the runner of commands."""
