"""The ground floor: errors, curves, schedules, and what a loop is. Imports NumPy and nothing else."""
