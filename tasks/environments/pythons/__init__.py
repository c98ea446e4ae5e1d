"""Which Python a commit was written for, read from what its files say and from its day."""
