"""How the verbs keep their runs: the study that is begun or taken up again, and the blocks that it is missing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

from lrscout.core.curve import Curve
from lrscout.core.progress import progress
from lrscout.core.source import Source
from lrscout.runners.plan import Block, Runner
from lrscout.store.default import DEFAULT_STORE

if TYPE_CHECKING:
    from lrscout.store.study import Study


class Unkept:
    """Stands where a study would, and keeps nothing."""

    name = None
    result = None
    inputs: Mapping[str, Any] = {}

    def finished(self) -> dict[int, tuple[Curve, ...]]:
        return {}

    def keep(self, block: int, curves: Sequence[Curve]) -> None:
        pass

    def finish(self, result: dict[str, Any]) -> None:
        pass


Kept: TypeAlias = "Study | Unkept"
"""What a verb gives its blocks and its result to."""


@contextmanager
def kept_study(
    kind: str,
    source: Source,
    store: str | Path | None,
    study: str | None,
    inputs: Callable[[Mapping[str, Any]], dict[str, Any]],
) -> Generator[Kept]:
    """Open a study, new or to be continued, or one that keeps nothing where neither a store nor a name is given.

    Args:
        kind: the verb that it is a call of.
        source: where its loops come from.
        store: a file, or the URL of a database; by default `DEFAULT_STORE`.
        study: its name; by default one is made.
        inputs: returns what the study must agree on to be continued, given what it was begun with (nothing if it is
            new). It is called only if something is to be kept.

    Yields:
        The study.

    Raises:
        InvalidValueError: the study was begun with other inputs.
        StoreError: the store cannot be used, or another driver is writing this study.
    """
    if store is None and study is None:
        yield Unkept()
        return
    from lrscout.store.store import open_store  # SQLAlchemy loads only when something is kept.

    opened = open_store(store or DEFAULT_STORE)
    name = study or new_study_name(kind)
    is_known = any(summary.name == name for summary in opened.studies())
    begun_with = opened.load(name).inputs if is_known else {}
    with opened.begin(name, kind=kind, inputs=inputs(begun_with), target=source.reference) as kept:
        yield kept


def new_study_name(kind: str) -> str:
    """Return a name for a study that was given none.

    Args:
        kind: the verb that it is a call of.
    """
    return f"{kind}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid4().hex[:4]}"


def first_losses(source: Source, seed: int, lr: float | None = None) -> dict[str, str]:
    """Return the input by which another model, optimizer or data are told from those that a study was begun with.

    It is the losses of three steps, to the digits that do not depend on the machine.

    Args:
        source: where the loop comes from.
        seed: the seed of the steps.
        lr: their learning rate; by default the loop's own.
    """
    with source.visit(seed) as (loop, _):
        rate = loop.lr if lr is None else lr
        loop.reseed(seed)
        losses = [loop.step(rate) for _ in range(3)]
    return {"losses of the first steps": ", ".join(f"{loss:.3g}" for loss in losses)}


def curves_of(
    what: str,
    source: Source,
    blocks: Sequence[Block],
    runner: Runner,
    kept: Kept,
    news: Callable[[Sequence[Curve]], str],
) -> list[Curve]:
    """Take the runs of the blocks that are not finished, keep each block, and return the curves of all in their order.

    Args:
        what: what the progress bar calls it.
        source: where the loops come from.
        blocks: the blocks of the plan.
        runner: takes the steps.
        kept: the study.
        news: is given the curves of each block, first of those that are finished already, and returns how things stand.
    """
    done = kept.finished()
    missing = [block for block in blocks if block.index not in done]
    for curves in done.values():
        news(curves)
    with progress(what, sum(block.steps * len(block.runs) for block in missing)) as bar:
        for block, curves in runner.run(source, missing, bar):
            kept.keep(block.index, curves)
            done[block.index] = curves
            bar.tell(news(curves))
    return [curve for block in blocks for curve in done[block.index]]
