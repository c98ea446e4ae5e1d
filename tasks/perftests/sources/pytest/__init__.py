"""Source `pytest`: the repository's own tests that execute the changed functions, as workloads. No model is needed."""
