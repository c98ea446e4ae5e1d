"""Service: a prompt in, a validated answer, its cost and a cache entry out."""
