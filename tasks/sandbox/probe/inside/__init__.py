"""Runs inside a sandbox: the probe."""
