"""Runs inside a sandbox: finds and wraps asv benchmarks."""
