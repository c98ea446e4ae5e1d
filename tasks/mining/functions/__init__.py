"""Finds the functions that a change touches."""
