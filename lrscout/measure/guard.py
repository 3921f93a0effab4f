"""The real run, guarded: taken back to where it was good, and slowed, if it is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lrscout.analyse.guarding import Guarding
from lrscout.analyse.monitor import warn
from lrscout.core.checks import check_choice, check_count, check_lr
from lrscout.core.curve import Curve, Stop
from lrscout.core.errors import InvalidValueError, UnsupportedLoopError
from lrscout.core.interrupts import Interrupts
from lrscout.core.loop import KeepsBatches, Loop, Snapshot, check_loop
from lrscout.core.progress import Bar, progress
from lrscout.core.result import Cost, Result, jsonable
from lrscout.core.schedules import NAMED, Schedule
from lrscout.measure.planned_schedule import PlannedSchedule
from lrscout.measure.safeguard import Rollback, Safeguard
from lrscout.measure.sweep import checked_factors

if TYPE_CHECKING:
    from jaxtyping import Float


class Recommended(Protocol):
    """What `guard` reads of a recommendation."""

    @property
    def lr(self) -> float | None:
        """The peak learning rate."""
        ...

    @property
    def steps(self) -> int | None:
        """The number of steps."""
        ...

    @property
    def schedule(self) -> str | Schedule | PlannedSchedule:
        """The name of the schedule, its factor, or that with a budget."""
        ...

    @property
    def max_stable_lr(self) -> float | None:
        """The largest stable learning rate, if it is known."""
        ...


@dataclass(frozen=True, eq=False)
class GuardedRun(Result):
    """A run that was guarded.

    Args:
        curve: the run as it counts, without the steps that were taken back. It is `Stop.DIVERGED` if it was given up,
            and then ends at the last snapshot.
        rollbacks: the returns to a snapshot, in order.
        lr: the peak learning rate at the end.
        every: after how many steps snapshots were taken in the end.
        cost: what the run cost, with the steps that were taken back.
    """

    curve: Curve
    rollbacks: tuple[Rollback, ...]
    lr: float
    every: int
    cost: Cost

    @property
    def retaken(self) -> int:
        """How many steps were taken back."""
        return sum(rollback.lost for rollback in self.rollbacks)

    @property
    def loss(self) -> float | None:
        """The loss at the end: on the evaluation data, or else of the last step; None if there was no step."""
        if len(self.curve.evaluations) and self.curve.evaluated_at[-1] == self.curve.steps:
            return float(self.curve.evaluations[-1])
        return float(self.curve.losses[-1]) if self.curve.steps else None

    def __str__(self) -> str:
        retaken = f" {self.retaken} of the steps were taken back." if self.retaken else ""
        return " ".join([self._course(), *map(str, self.rollbacks), self._ending(), f"Cost: {self.cost}.{retaken}"])

    def _course(self) -> str:
        if not self.rollbacks:
            return f"The run took its {self.curve.steps} steps at lr {self.lr:.3g}, and nothing had to be taken back."
        times = {1: "once", 2: "twice"}.get(len(self.rollbacks), f"{len(self.rollbacks)} times")
        return f"The run was taken back {times}."

    def _ending(self) -> str:
        if self.curve.stopped is not Stop.COMPLETED:
            return f"It was given up after {self.curve.steps} good steps, at which the loop stands."
        return "" if self.loss is None else f"It ended at a loss of {self.loss:.4g}."

    def to_dict(self) -> dict[str, Any]:
        return jsonable(
            {
                "lr": self.lr,
                "lrs": self.curve.lrs,
                "losses": self.curve.losses,
                "evaluated_at": self.curve.evaluated_at,
                "evaluations": self.curve.evaluations,
                "stopped": str(self.curve.stopped),
                "rollbacks": [asdict(rollback) for rollback in self.rollbacks],
                "every": self.every,
                "cost": asdict(self.cost) | {"retaken": self.retaken},
            }
        )


def guard(
    loop: Loop,
    recommendation: Recommended | None = None,
    *,
    lr: float | None = None,
    steps: int | None = None,
    schedule: str | Schedule | PlannedSchedule | None = None,
    every: int | None = None,
    halvings: int = 8,
    say: Callable[[str], object] | None = warn,
    evaluate: bool = True,
) -> GuardedRun:
    """Train: take the steps of a run from where the loop stands, and go back and half the rate if the run is lost.

    Unlike the other verbs, this one leaves the loop where the run ends. As long as nothing goes wrong, every step is,
    bit for bit, what a bare `loop.step` would have been. A snapshot of the loop is kept in memory, never more than one,
    and renewed every so many steps, but not while the loss stands above that of the last one or keeps rising. When the
    run diverges by the rules of `lrscout.Monitor`, or a loss is not finite, or the loss stays far above what it had
    been, or the run would end like that, the loop goes back to the snapshot and on from there at half the rate.

    Its data go on from where they are, and the random generators with them: no batch is kept, and the run does not meet
    those again that it was lost on (for that, Chowdhery et al., 2022, arXiv:2204.02311, section 5.1, skip batches too).
    Only a loop of `lrscout.from_functions` goes back in its data as well, if its own snapshot does.

    If the loop raises, or Ctrl-C comes, the loop stays where it is and the error goes on; what there is of the result
    by then is the error's attribute ``guarded_run``.

    Args:
        loop: the training loop.
        recommendation: what `lrscout.find` returned: its lr, its steps and its schedule, unless they are given apart.
        lr: the peak learning rate.
        steps: the number of steps.
        schedule: the name of a schedule, or a function such as `lrscout.core.schedules` has; by default ``"linear"``.
        every: after how many steps to take a snapshot. By default 64, or a 32nd of the run if that is more, and twice,
            four times, ... as many where a snapshot takes more than 1 % of the time of the steps between two. Only that
            last rule looks at the clock, and only what comes after a return to a snapshot can depend on it; give
            `every` for a run that has to be repeated exactly.
        halvings: how often the rate may be halved. A run that is lost once more ends at its last snapshot.
        say: what to call with a sentence for each return to a snapshot; by default the logger ``lrscout`` tells it as a
            warning. None for silence.
        evaluate: whether to evaluate the loop before the run, about when the last snapshot is due, and at the end, if
            the loop can be evaluated; the end of a run is then judged by that as well.

    Returns:
        The run, with what was taken back.

    Raises:
        InvalidValueError: the lr or the number of steps is told neither here nor by the recommendation, or an argument
            is out of its range.
        UnsupportedLoopError: `loop` is not a loop.

    >>> from lrscout.lesson.engines import numpy_engine
    >>> from lrscout.lesson.problem import sample_problem
    >>> run = guard(numpy_engine(sample_problem()).loop, lr=1.0, steps=200, say=print)
    Step 38: the loss diverged at lr 1. The run goes back by 39 steps, to step 0, and on from there at lr 0.5.
    >>> run.lr, run.curve.steps, run.cost.steps
    (0.5, 200, 239)
    """
    check_loop(loop)
    asked = _Asked.of(recommendation, lr, steps, schedule)
    halvings = check_count("halvings", halvings, at_least=0)
    with progress("guarded run", asked.steps) as bar:
        run = _Run(loop, asked, every, halvings, say, bar, evaluate=evaluate)
        try:
            run.take()
        except BaseException as error:
            error.__dict__["guarded_run"] = run.result(Stop.COMPLETED)
            raise
    return run.result(Stop.DIVERGED if run.has_given_up else Stop.COMPLETED)


@dataclass(frozen=True, eq=False)
class _Asked:
    """What run was asked for."""

    lr: float
    steps: int
    factors: Float[np.ndarray, " step"]
    max_stable_lr: float | None

    @classmethod
    def of(
        cls,
        recommendation: Recommended | None,
        lr: float | None,
        steps: int | None,
        schedule: str | Schedule | PlannedSchedule | None,
    ) -> _Asked:
        lr = lr if lr is not None or recommendation is None else recommendation.lr
        steps = steps if steps is not None or recommendation is None else recommendation.steps
        if lr is None or steps is None:
            raise InvalidValueError(
                f"A guarded run needs an lr and a number of steps, but lr is {lr!r} and steps is {steps!r}. "
                "Give both, or what lrscout.find returned, if it found a rate."
            )
        if schedule is None:
            schedule = "linear" if recommendation is None else recommendation.schedule
        if isinstance(schedule, PlannedSchedule):
            schedule = schedule.factors
        if not callable(schedule):
            schedule = NAMED[check_choice("schedule", schedule, tuple(NAMED))]()
        steps = check_count("steps", steps, at_least=1)
        limit = None if recommendation is None else recommendation.max_stable_lr
        return cls(
            check_lr("lr", lr), steps, checked_factors(schedule(np.arange(steps), steps), "schedule", steps), limit
        )


class _Run:
    """A guarded run under way."""

    def __init__(
        self,
        loop: Loop,
        asked: _Asked,
        every: int | None,
        halvings: int,
        say: Callable[[str], object] | None,
        bar: Bar,
        *,
        evaluate: bool,
    ) -> None:
        self._loop, self._asked, self._bar = loop, asked, bar
        self._evaluates = evaluate
        self._guarding = Guarding(asked.steps, every=every, max_stable_lr=asked.max_stable_lr)
        self._safeguard = Safeguard(
            self._guarding,
            self._save,
            self._restore,
            halvings=halvings,
            say=say,
            may_put_off=every is None,
        )
        # Where the last snapshot is due: a leap of the evaluation since then is no overfitting.
        self._evaluate_at = (asked.steps - 1) // self._guarding.every * self._guarding.every
        self._lrs: list[float] = []
        self._losses: list[float] = []
        self._evaluations: dict[int, float] = {}
        self._steps = self._evaluated = 0
        self._began = time.perf_counter()

    @property
    def has_given_up(self) -> bool:
        """Whether no halving was left."""
        return self._safeguard.has_given_up

    def take(self) -> None:
        """Take the steps."""
        self._safeguard.begin()
        self._evaluate()
        while not self.has_given_up:
            if len(self._losses) < self._asked.steps:
                self._step()
                continue
            self._evaluate()
            reason = self._guarding.ended(sorted(self._evaluations.items()))
            if reason is None:
                return
            self._forget(self._safeguard.go_back(self._asked.steps - 1, self._peak, reason))

    def result(self, stopped: Stop) -> GuardedRun:
        """Return what there is of the run."""
        at = sorted(self._evaluations)
        return GuardedRun(
            curve=Curve(
                np.array(self._lrs, float),
                np.array(self._losses, float),
                stopped,
                evaluated_at=np.array(at, int),
                evaluations=np.array([self._evaluations[place] for place in at], float),
            ),
            rollbacks=tuple(self._safeguard.rollbacks),
            lr=self._peak,
            every=self._safeguard.every,
            cost=Cost(self._steps, self._evaluated, time.perf_counter() - self._began),
        )

    @property
    def _peak(self) -> float:
        return self._asked.lr * self._safeguard.factor

    def _step(self) -> None:
        step = len(self._losses)
        lr = self._peak * float(self._asked.factors[step])
        try:
            loss = self._loop.step(lr)
        except Exception as error:
            error.add_note(f"The loop raised this at step {step + 1} of {self._asked.steps}, at lr {lr:.3g}.")
            raise
        self._steps += 1
        self._bar.advance()
        self._lrs.append(lr)
        self._losses.append(loss)
        rollback = self._safeguard.update(step, lr, loss, peak=self._peak)
        if rollback is not None:
            self._forget(rollback)
        elif step + 1 == self._evaluate_at:
            self._evaluate()

    def _forget(self, rollback: Rollback) -> None:
        """Take the steps since the snapshot out of the run."""
        self._bar.advance(rollback.back_to - len(self._losses))
        del self._lrs[rollback.back_to :], self._losses[rollback.back_to :]
        self._evaluations = {at: loss for at, loss in self._evaluations.items() if at <= rollback.back_to}

    def _evaluate(self) -> None:
        at = len(self._losses)
        if not self._evaluates or at in self._evaluations:
            return
        try:
            self._evaluations[at] = self._loop.evaluate()
        except UnsupportedLoopError:
            self._evaluates = False
            return
        self._evaluated += 1
        if at == 0:
            self._guarding.begin(self._evaluations[0])

    def _save(self) -> Snapshot:
        snapshot = self._loop.snapshot()
        if isinstance(snapshot, KeepsBatches):
            snapshot.let_data_go()
        return snapshot

    def _restore(self, snapshot: Snapshot) -> None:
        with _uninterrupted():
            self._loop.restore(snapshot)


@contextmanager
def _uninterrupted() -> Generator[None]:
    """Keep Ctrl-C back while the block runs."""
    interrupts = Interrupts()
    try:
        interrupts.install()
        interrupts.hold()
        yield
    finally:
        interrupts.release()
