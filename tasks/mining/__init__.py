"""A git history in, candidate commits out."""
