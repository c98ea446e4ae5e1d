"""How each stage works: one package per stage, and the service packages `sandbox`, `llm` and `code`."""
