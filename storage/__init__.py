"""What passes between stages: row types, the store, exports."""
