"""One adapter a framework. Each knows `core` and its own framework, and nothing else."""
