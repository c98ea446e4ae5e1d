"""What runs: one file per flow, read top to bottom like a recipe, and the command line."""
