"""PyTorch loops, and what Lightning and the Hugging Face Trainer share with them."""
