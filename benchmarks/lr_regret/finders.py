"""All finders, by name; those that are found by one test go together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TypeAlias

from benchmarks.lr_regret import constants, ours, searches, without_rate
from benchmarks.lr_regret.judge import Pick, Row
from benchmarks.lr_regret.task import Task

Answer: TypeAlias = Callable[[Task, int], list[Pick] | list[Row] | list[Pick | Row]]
"""Asks about a task and a seed: picks, which are then judged, or, of what trains by itself, rows."""

PEERS = ("fastai", "torch_lr_finder", "lightning", "ignite", "ktrain")


def all_finders() -> dict[tuple[str, ...], Answer]:
    """Return the finders, each with the names that its answers bear."""
    finders: dict[tuple[str, ...], Answer] = {(constants.DEFAULT,): constants.default_rate}
    for peer in PEERS:
        module = import_module(f"benchmarks.lr_regret.peers.{peer}")
        finders[module.NAMES] = module.picks
    finders[searches.RANDOM_SEARCH] = searches.random_search
    finders[searches.HALVING] = searches.successive_halving
    for name in without_rate.WAYS:
        finders[(name,)] = partial(without_rate.rows, name)
    finders.update(ours.FINDERS)
    finders[(constants.CONSTANT,)] = constants.best_constant
    return finders
