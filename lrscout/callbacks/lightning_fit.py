"""What the callbacks of Lightning know of a fit."""

from __future__ import annotations

import sys
from typing import Any

from lrscout.core.errors import LossError
from lrscout.core.imports import require

# Lightning goes by two names, and a trainer of either takes a callback of the other; nobody shall wait for both.
_NAME = "pytorch_lightning" if "pytorch_lightning" in sys.modules else "lightning.pytorch"
lightning = require(_NAME, extra="lightning")


def loss_of(trainer: Any, outputs: Any, name: str | None) -> float:
    """Return the training loss of a batch.

    Args:
        trainer: the trainer, after the batch.
        outputs: what `training_step` returned, as a callback is told of it.
        name: the name of a logged value to take in its place, or None.

    Raises:
        LossError: there is no such loss.
    """
    if name is not None:
        logged = trainer.callback_metrics
        if name not in logged:
            raise LossError(f"training_step logs no {name!r}, but {sorted(logged)}. Log it on every step.")
        return float(logged[name])
    loss = outputs.get("loss") if isinstance(outputs, dict) else outputs  # pyright: ignore
    if loss is None:
        raise LossError("training_step returns no loss. Name a value that it logs: loss='critic_loss'.")
    # Lightning has divided it among the batches of the update.
    return float(loss) * trainer.accumulate_grad_batches  # pyright: ignore
