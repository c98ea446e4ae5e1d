"""What was said about a change in its pull request."""
