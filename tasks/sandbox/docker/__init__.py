"""The docker sandbox: a container for each command."""
