"""Service: runs a command so that it can do no harm."""
