"""A commit and its APIs in, perf tests that passed the gates out."""
