"""What leads an agent's requests out of its sandbox."""
