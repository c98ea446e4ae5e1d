"""What the commands do. `flows/cli.py` declares them; nothing here is loaded before its command runs."""
