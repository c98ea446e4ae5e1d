"""Tables in, pages and plots out."""
