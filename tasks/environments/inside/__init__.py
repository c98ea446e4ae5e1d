"""What runs inside a sandbox to build, adopt and prove an environment."""
