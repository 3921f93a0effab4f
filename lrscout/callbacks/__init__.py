"""The verbs as guests in a framework's own training loop."""
