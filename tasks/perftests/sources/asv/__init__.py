"""Source `asv`: the repository's airspeed-velocity benchmarks that execute the changed functions, as workloads."""
