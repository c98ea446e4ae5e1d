"""Other benchmarks' rules, each in a file of its own, on our measurements or on imported ones: `applying.apply`."""
