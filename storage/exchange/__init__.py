"""Others' formats, both ways: a file for each."""
