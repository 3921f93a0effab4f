"""The learning rate of a PyTorch network that reads handwritten digits.

Run this file, or: lrscout range-test examples/torch_digits.py:loop
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

import lrscout


def loop():
    """Return the training loop of a network with one hidden layer, trained by AdamW."""
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    digits = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
    training, held_out = random_split(digits, [0.8, 0.2])
    network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    return lrscout.from_torch(
        network,
        torch.optim.AdamW(network.parameters(), lr=1e-3),
        nn.CrossEntropyLoss(),
        DataLoader(training, batch_size=64, shuffle=True),
        eval_data=DataLoader(held_out, batch_size=256),
    )


if __name__ == "__main__":
    print(lrscout.range_test(loop()))
