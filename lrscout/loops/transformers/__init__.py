"""Loops of the Hugging Face Trainer."""
