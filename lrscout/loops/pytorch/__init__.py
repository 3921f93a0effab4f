"""What every loop that PyTorch computes has in common, whoever wrote the training code around it."""
