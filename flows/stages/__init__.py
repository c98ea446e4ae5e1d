"""What each stage needs of a flow: items in, results and funnel out."""
