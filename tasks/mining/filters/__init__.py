"""The filters: they keep a change, or drop it with a reason."""
