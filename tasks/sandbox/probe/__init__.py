"""The driver's side of a probe: a process that runs a perf test inside a sandbox."""
