"""Processes that filter ranges of a history side by side."""
