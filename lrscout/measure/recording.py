"""Runs of which the positions are kept, and not only the losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.judge import OUTCOME_WHEN_STOPPED, judge
from lrscout.analyse.stop import BeyondReturn
from lrscout.core.curve import Outcome, Stop
from lrscout.core.landscape import Landscape
from lrscout.core.loop import Loop, Snapshot
from lrscout.core.progress import Bar
from lrscout.runners.memory import free_memory

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_MOST, _FEWEST = 200, 8
_SHARE_OF_MEMORY = 0.15
"""How much of the memory the positions may take; finding their principal directions takes some copies of them more."""

_NUMBER = 8
"""The bytes of a number in double precision."""

_INFINITE = 1e100
"""From here on a parameter counts as infinite: the squares of larger ones would be."""


@dataclass(frozen=True, eq=False)
class Recording:
    """A run with positions along its way.

    Args:
        lr: its learning rate.
        steps: after how many steps it was at each position; the first is 0.
        positions: the parameters there, up to the last that can be told from infinity.
        taken: the number of steps taken.
        outcome: how the run ended, judged by its training losses.
    """

    lr: float
    steps: Int[np.ndarray, " position"]
    positions: Float[np.ndarray, "position parameter"]
    taken: int
    outcome: Outcome

    @property
    def astray(self) -> bool:
        """Whether the run diverged."""
        return self.outcome in (Outcome.DIVERGING, Outcome.NON_FINITE)


def record(
    loop: Loop, home: Snapshot, landscape: Landscape, lr: float, steps: int, *, seed: int, most: int, bar: Bar
) -> Recording:
    """Take a run from home and keep positions along its way.

    Args:
        loop: the loop; the caller brings it home in the end.
        home: the snapshot of home.
        landscape: knows where the loop stands.
        lr: the learning rate of every step.
        steps: the number of steps, at least 2; a run that has diverged beyond return takes fewer.
        seed: the seed of the order of the data.
        most: how many positions to keep.
        bar: is told of the steps.
    """
    loop.restore(home)
    loop.reseed(seed)
    rule, stop = BeyondReturn(steps), None
    kept = set(kept_steps(steps, most).tolist())
    at, positions, losses = [0], [np.array(landscape.position(), float)], list[float]()
    while stop is None and len(losses) < steps:
        try:
            losses.append(loop.step(lr))
        except Exception as error:
            error.add_note(f"The loop raised this at step {len(losses) + 1} of {steps}, at lr {lr:.3g}.")
            raise
        bar.advance()
        stop = rule.update(losses[-1])
        if stop is not None or len(losses) in kept:
            position = np.array(landscape.position(), float)
            if (np.abs(position) < _INFINITE).all():
                at.append(len(losses))
                positions.append(position)
            else:
                stop = Stop.NON_FINITE
    bar.advance(steps - len(losses))
    return Recording(lr, np.array(at), np.array(positions), len(losses), _outcome(losses, stop))


def kept_steps(steps: int, most: int) -> Int[np.ndarray, " position"]:
    """Return after which steps to keep the position: the first half of what there is room for one by one, then evenly.

    The steps at the start are the largest, and a run that diverges is told by its first leaps.

    Args:
        steps: the number of steps of the run.
        most: how many positions to keep, the start and the end among them.

    >>> kept_steps(40, 9)
    array([ 0,  1,  2,  3,  4, 13, 22, 31, 40])
    """
    if steps < most:
        return np.arange(steps + 1)
    closely = most // 2
    later = np.linspace(closely, steps, most - closely).round().astype(int)
    return np.concatenate([np.arange(closely), later])


def room_for_positions(parameters: int, runs: int) -> int:
    """Return how many positions of each run to keep: 200, or fewer where memory is short.

    Args:
        parameters: the number of parameters.
        runs: the number of runs.
    """
    fitting = int(_SHARE_OF_MEMORY * free_memory()) // (_NUMBER * parameters * runs)
    return min(max(fitting, _FEWEST), _MOST)


def _outcome(losses: list[float], stop: Stop | None) -> Outcome:
    return judge(np.array(losses)).outcome if stop is None else OUTCOME_WHEN_STOPPED[stop]
