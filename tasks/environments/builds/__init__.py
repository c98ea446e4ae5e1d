"""The environment that the arms of a comparison share: installed once, kept by its content."""
