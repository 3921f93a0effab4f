"""What a column is, told by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

_SHOWN = 60
_LONGEST = 300


class Role(StrEnum):
    """What a column may be to a run."""

    LOSS = "training loss"
    EVALUATION = "evaluation loss"
    LR = "learning rate"
    STEP = "step"
    RUN = "run"


@dataclass(frozen=True)
class Meaning:
    """What a name means.

    Args:
        role: what the column is.
        rank: how plainly it is so; of several columns those of the lowest rank are meant.
    """

    role: Role
    rank: int


PER_EPOCH = 3
"""The rank of a column of steps that counts epochs."""

_LOSS = {"loss", "losses", "nll"}
_HELD_OUT = {"val", "valid", "validation", "eval", "evaluation", "dev", "holdout", "test", "testing"}

_PARTS = {"train", "training", "trainer", "trn", "tr", "fit", "batch", "minibatch", "step", "iter", "iteration"}
_FRAMES = {"total", "metrics", "metric", "scalars", "value", "current", "cur", "optimizer", "opt", "logs", "history"}
_PLAIN = _PARTS | _FRAMES
"""Words beside which a loss is still the loss."""

_AVERAGED = {"epoch", "mean", "avg", "average", "running", "smooth", "smoothed", "ema", "moving"}
"""Words beside which a loss is one of many steps, which tells less than one of a single step."""

_STATISTICS = {"min", "max", "best", "lowest", "std", "stderr", "var", "variance", "count", "time", "seconds", "norm"}
_FACTORS = {"scale", "scaler", "scaling", "weight", "coef", "coefficient", "ratio", "delta", "diff", "factor"}
_SETTINGS = {"momentum", "decay", "scheduler", "patience", "warmup", "threshold", "grad", "gradient"}
_OTHER_QUANTITIES = _STATISTICS | _FACTORS | _SETTINGS
"""Words of which one is enough to make something else of a loss or a learning rate."""

_STEPS = (
    {"global step", "trainer global step"},
    {"step", "steps"},
    {"iteration", "iterations", "iter", "iters", "itr", "global iteration", "global iter", "update", "updates"},
    {"epoch", "epochs", "current epoch"},
)
_NUMBERED = re.compile(r" \(\d+\)$")
"""What a reader adds to the name of a column that is there more than once."""

_RUNS = {"run", "run id", "run name", "seed", "trial", "trial id", "curve", "experiment", "study", "fold"}


@lru_cache(maxsize=4096)
def meaning_of(name: str) -> Meaning | None:
    """Return what the name of a column means, or None if it is nothing that a run is judged by.

    >>> meaning_of("train/loss_epoch")
    Meaning(role=<Role.LOSS: 'training loss'>, rank=1)
    >>> meaning_of("loss_scale") is None
    True
    """
    words = _words(_NUMBERED.sub("", name))
    told = set(words)
    if " ".join(words) in _RUNS:
        return Meaning(Role.RUN, 0)
    if told & _OTHER_QUANTITIES:
        return None
    if words == ["evaluation"]:
        return Meaning(Role.EVALUATION, 0)
    if told & _LOSS:
        return _meaning_of_loss(told)
    if "lr" in told:
        return Meaning(Role.LR, 0 if told <= {"lr"} | _PLAIN | _AVERAGED else 1)
    return _meaning_of_step(words)


def _meaning_of_loss(told: set[str]) -> Meaning:
    held_out = told & _HELD_OUT
    if (
        told - _LOSS - _HELD_OUT - _PLAIN - _AVERAGED
    ):  # A part of the loss, such as box_loss, or one of several data sets.
        return Meaning(Role.EVALUATION if held_out else Role.LOSS, 3)
    if not held_out:
        return Meaning(Role.LOSS, 1 if told & _AVERAGED else 0)
    if held_out & {"test", "testing"}:
        return Meaning(Role.EVALUATION, 2)
    # An evaluation is over all its data; what is logged within it, a batch at a time, is only a part.
    return Meaning(Role.EVALUATION, 1 if told & {"step", "batch"} else 0)


def _meaning_of_step(words: list[str]) -> Meaning | None:
    for name in (" ".join(words), " ".join(words[1:]) if words and words[0] in _PLAIN else ""):
        for rank, names in enumerate(_STEPS):
            if name in names:
                return Meaning(Role.STEP, rank)
    return None


_ALIASES = {
    "learningrate": "lr",
    "globalstep": "global step",
    "trainloss": "train loss",
    "valloss": "val loss",
    "validationloss": "validation loss",
    "evalloss": "eval loss",
    "testloss": "test loss",
}


def _words(name: str) -> list[str]:
    separated = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name[:_LONGEST]).lower()
    words: list[str] = re.findall(r"[^\W_]+", separated)
    return " ".join(_ALIASES.get(word, word) for word in words).replace("learning rate", "lr").split()


def shown(text: str, most: int = _SHOWN) -> str:
    """Return text from a file as it may stand in a sentence: short, on one line, without control characters.

    >>> shown("a" * 100 + "!")[-6:]
    'aaaaa…'
    """
    short = text if len(text) <= most else text[:most] + "…"
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in short)


def listed(names: list[str], most: int = 12) -> str:
    """Return names from a file as a list in a sentence.

    >>> listed(["step", "loss", "lr"], most=2)
    'step, loss and 1 more'
    """
    if len(names) > most:
        return f"{', '.join(shown(name) for name in names[:most])} and {len(names) - most} more"
    return " and ".join(part for part in (", ".join(shown(name) for name in names[:-1]), shown(names[-1])) if part)
