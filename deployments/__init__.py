"""Where it runs: Prefect deployments and images."""
