"""What is tried when an environment does not come about, and what a person would do when nothing helps."""
