"""Runs inside a sandbox: finds and wraps tests."""
