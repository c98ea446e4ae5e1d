"""A repository at a commit in, installed dependencies and checkouts (arms) out."""
