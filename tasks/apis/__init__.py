"""Turns a kept commit into `apis`: the public functions that the change reaches, with the path that proves it."""
