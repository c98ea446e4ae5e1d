"""Runs inside a sandbox: the repository's own tests, and those that must fail."""
