"""What the user decides: models, YAML files, prompts, the demo."""
