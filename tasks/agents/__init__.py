"""Where predictions come from: files that others wrote, and agents."""
