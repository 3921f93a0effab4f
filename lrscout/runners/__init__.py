"""From a plan to curves: who takes the steps, and in which order."""
