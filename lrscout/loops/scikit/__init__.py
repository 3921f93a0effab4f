"""The parts of a scikit-learn loop."""
