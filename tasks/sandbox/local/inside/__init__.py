"""What runs beside a command that is not isolated."""
