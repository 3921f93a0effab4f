"""Lightning loops."""
