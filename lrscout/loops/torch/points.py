"""The losses of a PyTorch loop at many positions at once."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from lrscout.core.errors import FleetUnavailableError
from lrscout.loops.torch.hessian import Share
from lrscout.loops.torch.lanes import bytes_of, stacked
from lrscout.loops.torch.steady import SteadyLoss
from lrscout.loops.torch.trial import WITHOUT_A_RULE, Saved

if TYPE_CHECKING:
    from jaxtyping import Float

_CHUNK_BYTES = 2**28
_FEWEST_POINTS = 4
"""Of fewer positions the losses are told faster one after another."""


class Points:
    """The mean of a loss over batches at any number of positions.

    Args:
        loss: the loss.
        shares: the batches.
    """

    def __init__(self, loss: SteadyLoss, shares: Sequence[Share]) -> None:
        self._loss = loss
        self._shares = shares
        self._is_vectorizable = True

    @torch.no_grad()
    def losses(self, positions: Float[np.ndarray, "point parameter"]) -> Float[np.ndarray, " point"]:
        """Return the loss at each position: of many at once, if the loss can be vectorized and comes out the same."""
        if len(positions) >= _FEWEST_POINTS and self._is_vectorizable:
            try:
                return self._together(positions)
            except FleetUnavailableError:
                self._is_vectorizable = False
        return np.array([self._alone(position) for position in positions])

    def _alone(self, position: Float[np.ndarray, " parameter"]) -> float:
        total = 0.0
        for part in self._shares:
            with self._loss.at(position) as loss_of:
                total += part.share * loss_of(part.batch).item()
        return total

    def _together(self, positions: Float[np.ndarray, "point parameter"]) -> Float[np.ndarray, " point"]:
        """Compute the losses in chunks, beside that at one of the positions alone.

        Raises:
            FleetUnavailableError: the loss cannot be vectorized, or comes out different.
        """
        witness = _one_in_the_middle(positions)
        alone = _Witness(self._loss, self._shares, positions[witness])
        size = max(1, _CHUNK_BYTES // max(alone.bytes, 1))
        chunks = [positions[start : start + size] for start in range(0, len(positions), size)]
        losses = np.concatenate([self._chunk(chunk, alone.changed) for chunk in chunks])
        if not _close(losses[witness], alone.loss, tolerance=alone.rounding ** (1 / 3)):
            raise FleetUnavailableError("computed for several positions at once, its loss comes out different.")
        return losses

    def _chunk(
        self, positions: Float[np.ndarray, "point parameter"], changed: Sequence[torch.Tensor]
    ) -> Float[np.ndarray, " point"]:
        parameters = self._loss.parameters.parts(positions)
        total = np.zeros(len(positions))
        for part in self._shares:
            with self._loss.lanes(changed) as (losses_of, state), warnings.catch_warnings():
                # Without a rule of its own an operator runs one position after another, which is no faster than a loop.
                warnings.filterwarnings("error", message=WITHOUT_A_RULE)
                losses, _ = losses_of(parameters, [stacked(tensor, len(positions)) for tensor in state], part.batch)
                total += part.share * losses.double().cpu().numpy()
        return total


class _Witness:
    """The loss at one position by itself.

    Args:
        loss: the loss.
        shares: the batches.
        position: the position.
    """

    def __init__(self, loss: SteadyLoss, shares: Sequence[Share], position: Float[np.ndarray, " parameter"]) -> None:
        self.loss = 0.0
        saved = Saved(loss.parameters.tensors)
        found: dict[int, torch.Tensor] = {}
        for part in shares:
            hooks = torch.autograd.graph.saved_tensors_hooks(saved.note, lambda tensor: tensor)
            with loss.changes(position) as (loss_of, changed), torch.enable_grad(), hooks:
                self.loss += part.share * loss_of(part.batch).item()
            found |= {id(tensor): tensor for tensor in changed}
        self.changed = list(found.values())
        self.rounding = saved.rounding
        self.bytes = saved.bytes + sum(map(bytes_of, [*loss.parameters.tensors, *self.changed]))


def _one_in_the_middle(positions: Float[np.ndarray, "point parameter"]) -> int:
    """Return a position between the nearest to the first one, where losses are alike, and the farthest."""
    with np.errstate(over="ignore"):
        distances = np.abs(positions - positions[0]).max(axis=1, initial=0.0)
    return int(np.argsort(distances)[len(distances) // 2])


def _close(together: float, alone: float, tolerance: float) -> bool:
    if not np.isfinite(alone):
        return bool(np.isnan(alone) == np.isnan(together))
    return abs(together - alone) <= tolerance * abs(alone)
