"""Reads git: clones, histories, diffs, missing objects."""
