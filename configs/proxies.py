"""The user's proxies that Python's HTTP clients refuse to start with, kept for git and uv, which can use them."""

kept: dict[str, str] = {}
"""Variables that were taken out of this process's environment."""
