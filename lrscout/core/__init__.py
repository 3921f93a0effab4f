"""The ground floor: errors, curves, schedules, what a loop is, and what every result can do."""
