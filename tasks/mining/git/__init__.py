"""What git says: clones, histories, diffs, objects that are missing."""
