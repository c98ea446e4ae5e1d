"""Arms and perf tests in, measurements and verdicts out."""
