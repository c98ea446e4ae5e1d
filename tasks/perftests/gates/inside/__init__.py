"""Runs inside a sandbox: mutants for a check, what a test reaches for."""
