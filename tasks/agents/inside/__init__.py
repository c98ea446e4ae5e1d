"""Runs inside the sandboxes of agents."""
