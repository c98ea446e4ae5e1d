"""Which changes are kept, and for which reason the others are not."""
