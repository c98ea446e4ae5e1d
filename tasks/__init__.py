"""How each stage works: one package per stage, and the two service packages `sandbox` and `llm`."""
