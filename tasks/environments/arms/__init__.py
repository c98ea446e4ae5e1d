"""Arms: a commit's files in a folder each, a patch on top, what the build adds, proof that they are its own."""
