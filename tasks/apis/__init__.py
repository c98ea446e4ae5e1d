"""A kept commit in, the public functions that the change reaches out."""
