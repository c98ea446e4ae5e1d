"""The discussion of a change in its pull request."""
