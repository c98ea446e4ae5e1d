"""Where perf tests come from: a source for each folder or file."""
