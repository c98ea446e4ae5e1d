"""Workloads that are commands: a server to start, await and stop, a client whose output holds the metrics."""
