"""The finders of other packages, each asked by its own code."""
