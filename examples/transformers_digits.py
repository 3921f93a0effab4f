"""The learning rate of a small vision transformer that reads handwritten digits.

Run this file, or: lrscout range-test examples/transformers_digits.py:loop
"""

from tempfile import gettempdir

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification, set_seed

import lrscout


def loop():
    """Return the training loop of a vision transformer with two layers, trained by AdamW."""
    digits = load_digits()
    images = (digits.images[:, np.newaxis] / 8 - 1).astype("float32")
    examples = [{"pixel_values": image, "labels": label} for image, label in zip(images, digits.target, strict=True)]
    training, held_out = train_test_split(examples, random_state=0)
    set_seed(0)
    config = ViTConfig(
        image_size=8,
        patch_size=2,
        num_channels=1,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        num_labels=10,
    )
    arguments = TrainingArguments(gettempdir(), per_device_train_batch_size=64, report_to="none")
    trainer = Trainer(ViTForImageClassification(config), arguments, train_dataset=training, eval_dataset=held_out)
    return lrscout.from_trainer(trainer)


if __name__ == "__main__":
    print(lrscout.range_test(loop()))
