"""Proxies of the user's that Python's HTTP clients refuse to start with, kept for who can use them: git and uv."""

kept: dict[str, str] = {}
"""Variables that were taken out of this process's environment."""
