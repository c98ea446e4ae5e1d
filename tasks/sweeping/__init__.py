"""Candidates by measurement: where in a history the repository's own tests got faster."""
