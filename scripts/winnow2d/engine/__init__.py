"""Reference-free 2D classification: expectation maximisation as RELION defines it, built from matrix products."""
