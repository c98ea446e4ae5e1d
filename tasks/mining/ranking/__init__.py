"""How likely a change is to be a performance commit: the score and its features."""
