"""scikit-learn loops."""
