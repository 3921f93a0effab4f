"""The families of tasks."""
