"""Timing of workloads that are commands: arms interleaved per round, metrics instead of clocks."""
