"""Service: one reading of source code, diffs and paths, for the stages that say so."""
