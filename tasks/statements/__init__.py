"""Stage: from an instance's commit to a problem statement that says what is slow, and never how it was fixed."""
