"""Measurements in, instances, scores and Opt@K out."""
