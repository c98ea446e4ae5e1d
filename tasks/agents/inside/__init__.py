"""What runs inside the sandboxes of agents: standard library only, Python 3.8 and newer."""
