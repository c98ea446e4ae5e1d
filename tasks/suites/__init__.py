"""Stage package: the repository's own tests. Which pass on base and on human, and whether a patch passes them, too."""
