"""The loss of a Lightning module over its parameters, where a fit may not have begun yet."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.core.landscape import Block, Derivatives
from lrscout.loops.torch.landscape import TorchLandscape
from lrscout.loops.torch.loop import TorchLoop

if TYPE_CHECKING:
    from jaxtyping import Float


class LightningLandscape:
    """The landscape of a Lightning loop: at each call that of the fit that goes on, or of one that begins for a while.

    Args:
        in_fit: opens a fit, and ends it where none went on before.
        batches: the batches.

    Raises:
        LandscapeUnavailableError: the loss cannot be differentiated.
    """

    def __init__(self, in_fit: Callable[[], AbstractContextManager[TorchLoop]], batches: Sequence[Any]) -> None:
        self._in_fit = in_fit
        self._batches = batches
        self._latest: tuple[TorchLoop, TorchLandscape] | None = None
        with self._present() as landscape:
            self._blocks = landscape.blocks

    @property
    def blocks(self) -> Sequence[Block]:
        return self._blocks

    @property
    def batches(self) -> int:
        return len(self._batches)

    def position(self) -> Float[np.ndarray, " parameter"]:
        with self._present() as landscape:
            return landscape.position()

    def losses(self, positions: Float[np.ndarray, "point parameter"]) -> Float[np.ndarray, " point"]:
        with self._present() as landscape:
            return landscape.losses(positions)

    def derivatives(self, batch: int | None = None) -> Derivatives:
        with self._present() as landscape:
            return landscape.derivatives(batch)

    def updates(
        self,
        gradients: Float[np.ndarray, "step parameter"],
        lr: float,
        position: Float[np.ndarray, " parameter"] | None = None,
        *,
        warm_up: int = 0,
    ) -> Float[np.ndarray, "step parameter"]:
        with self._present() as landscape:
            return landscape.updates(gradients, lr, position, warm_up=warm_up)

    @contextmanager
    def _present(self) -> Generator[TorchLandscape]:
        with self._in_fit() as fit:
            if self._latest is None or self._latest[0] is not fit:
                self._latest = fit, fit.landscape_on(self._batches, self._in_fit)
            yield self._latest[1]
