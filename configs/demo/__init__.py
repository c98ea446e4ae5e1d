"""The embedded demo: a small library with a history, a model's answers, predictions, and the truth about them."""
