"""Which functions a change touches."""
