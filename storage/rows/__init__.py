"""The row types, by what they speak of. Import them from `storage.tables`."""
