"""The verbs that drive a loop, and their results."""
