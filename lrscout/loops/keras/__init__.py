"""Keras 3 loops, on each of its backends."""
