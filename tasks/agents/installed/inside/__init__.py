"""What runs while an agent is installed."""
