"""Harbor: what its task folders need of a repository, and its trials as predictions."""
