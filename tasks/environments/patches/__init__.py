"""Patches as people and harnesses hand them over, made fit for the commit that they are for."""
