"""Environment variables by which our own processes tell each other something. Users set none of them."""

TEMPORARY_SERVER = "ISOBENCH_TEMPORARY_SERVER"
"""Set while a command runs its own temporary Prefect server: what only a lasting server has a use for is left out."""
