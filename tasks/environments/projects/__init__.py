"""Where in a repository the project lies, and what its tests ask for."""
