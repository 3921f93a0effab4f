"""TensorFlow loops."""
