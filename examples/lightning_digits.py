"""The learning rate of a Lightning module that reads handwritten digits.

Run this file, or: lrscout range-test examples/lightning_digits.py:loop
"""

import torch
from lightning import LightningDataModule, LightningModule, seed_everything
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

import lrscout


class Digits(LightningDataModule):
    """The 1797 images of 8 by 8 pixels, a fifth of them held out."""

    def setup(self, stage: str) -> None:
        images, labels = load_digits(return_X_y=True)
        whole = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
        self.training, self.held_out = random_split(whole, [0.8, 0.2], torch.Generator().manual_seed(0))

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.training, batch_size=64, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.held_out, batch_size=256)


class Classifier(LightningModule):
    """A network with one hidden layer."""

    def __init__(self, lr: float = 0.1, hidden: int = 64) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))

    def training_step(self, batch, batch_idx):
        images, labels = batch
        loss = nn.functional.cross_entropy(self.network(images), labels)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        images, labels = batch
        self.log("val_loss", nn.functional.cross_entropy(self.network(images), labels))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr, momentum=0.9)


def loop():
    """Return the training loop of a network with one hidden layer, trained by SGD with momentum."""
    seed_everything(0, verbose=False)
    return lrscout.from_lightning(Classifier(), Digits())


if __name__ == "__main__":
    print(lrscout.range_test(loop()))
