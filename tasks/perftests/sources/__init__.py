"""The sources of perf tests, one per folder or file."""
