"""JAX loops and fleets; Keras on JAX shares the fleets."""
