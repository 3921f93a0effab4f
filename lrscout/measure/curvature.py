"""How sharply the loss curves where a loop stands, and the learning rate that its optimizer can bear there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.critical import CriticalRate, critical_rate
from lrscout.analyse.dynamics import Dynamics, moved_on
from lrscout.analyse.lanczos import MOST_PRODUCTS, Eigenvalue, largest_eigenvalue
from lrscout.core.checks import check_choice, check_count, check_lr, check_share
from lrscout.core.errors import InvalidValueError, LandscapeUnavailableError, UnsupportedLoopError
from lrscout.core.landscape import Derivatives, Differentiable, Landscape
from lrscout.core.loop import Loop, Snapshot, check_loop, restored
from lrscout.core.progress import progress
from lrscout.core.result import Cost
from lrscout.measure.sharpness import BatchSharpness, Curvature, Track, View, check_finite
from lrscout.measure.stability import Inquiry, max_stable_lr

if TYPE_CHECKING:
    from jaxtyping import Float

OF = ("optimizer", "hessian")
_MOST_PLACES = 60


def curvature(
    loop: Loop,
    *,
    of: str = "optimizer",
    lr: float | None = None,
    batches: int = 8,
    accuracy: float = 0.01,
    most_products: int = MOST_PRODUCTS,
    track: int = 0,
    seed: int = 0,
) -> Curvature:
    """Measure the sharpness where a loop stands and what it means for its learning rate, and bring the loop home.

    Args:
        loop: the training loop; afterwards it stands exactly where it stood.
        of: ``"optimizer"``, the curvature that its optimizer sees: that of the Hessian, scaled in each parameter as the
            optimizer scales its steps, if it does; or ``"hessian"``, that of the Hessian as it is.
        lr: the learning rate to speak of, from which the search for the critical one starts, and of the tracked run; by
            default the loop's own.
        batches: how many training batches the loss is the mean of; where a pass over the data has no more, it is that
            pass.
        accuracy: the relative error of the sharpness at which to stop.
        most_products: the most Hessian products for one sharpness.
        track: take so many steps at `lr` and note the sharpness along the way, at up to 60 places.
        seed: the seed of the vectors that the search for the eigenvalue begins with.

    Returns:
        The sharpness with its error, the limit `max_stable_lr`, and the critical learning rate. A loop whose loss
        cannot be differentiated has the critical learning rate alone, and the reason in its notes.

    Raises:
        InvalidValueError: an argument is out of its range, or the loss is not finite where the loop stands.
        UnsupportedLoopError: `loop` is not a loop, or its loss can neither be differentiated nor evaluated.

    Source:
        Cohen et al. 2021 (arXiv 2103.00065) and 2022 (arXiv 2207.14484) for the limits; Kalra and Barkeshli 2024 (arXiv
        2406.09405) for the critical learning rate; Andreyev and Beneventano 2024 (arXiv 2412.20553) for batches.

    >>> from lrscout.lesson.engines import numpy_engine
    >>> from lrscout.lesson.problem import sample_problem
    >>> round(curvature(numpy_engine(sample_problem()).loop).max_stable_lr, 3)
    0.775
    """
    check_loop(loop)
    survey = _Survey(
        loop,
        of=check_choice("of", of, OF),
        lr=_checked_lr(loop, lr),
        accuracy=check_share("accuracy", accuracy),
        most_products=check_count("most_products", most_products, at_least=1),
        seed=check_count("seed", seed, at_least=0),
    )
    batches, track = check_count("batches", batches, at_least=1), check_count("track", track, at_least=0)
    with restored(loop) as home:
        landscape, reason = _landscape_of(loop, batches)
        if landscape is None:
            if track:
                raise UnsupportedLoopError(f"Cannot track the sharpness because there is none to be measured. {reason}")
            return survey.by_steps(home, reason)
        return survey.by_derivatives(home, landscape, track)


def _checked_lr(loop: Loop, lr: float | None) -> float:
    if lr is None and loop.lr == 0:  # As at the beginning of a warmup.
        raise InvalidValueError("The learning rate of the loop is 0 where it stands. Give the lr to speak of: lr=.")
    return check_lr("lr", loop.lr if lr is None else lr)


def _landscape_of(loop: Loop, batches: int) -> tuple[Landscape | None, str]:
    """Return the landscape of a loop, or the reason why it has none."""
    if not isinstance(loop, Differentiable):
        return None, "The sharpness is not known: the loss of this loop cannot be differentiated from outside."
    try:
        return loop.landscape(batches), ""
    except LandscapeUnavailableError as error:
        return None, f"The sharpness is not known: {error}"


@dataclass
class _Survey:
    """One call of `curvature`: its settings, and what it has spent."""

    loop: Loop
    of: str
    lr: float
    accuracy: float
    most_products: int
    seed: int

    def __post_init__(self) -> None:
        self._began = time.perf_counter()
        self._steps = self._evaluations = self._products = 0
        self._notes: list[str] = []

    def by_derivatives(self, home: Snapshot, landscape: Landscape, track: int) -> Curvature:
        """Look at a loss that can be differentiated, and along a run from here."""
        derivatives = check_finite(landscape.derivatives())
        dynamics = self._dynamics(home, landscape, derivatives.gradient) if self.of == "optimizer" else None
        view = View(landscape, dynamics, landscape.position())
        largest = self._sharpness(view, derivatives, derivatives.gradient)
        if largest.relative_error > self.accuracy and len(view.position) > largest.products:
            self._notes.append(f"The sharpness is not yet told to {self.accuracy:.1g}: more products would.")
        if not derivatives.exact:
            self._notes.append("The products are finite differences of gradients.")
        return Curvature(
            of=self.of,
            sharpness=largest.value,
            relative_error=largest.relative_error,
            optimizer=None if view.dynamics is None else view.dynamics.name,
            max_stable_lr=self._limit(view, largest.value),
            lr=self.lr,
            critical=self._critical_along(home, landscape),
            batch_sharpness=self._batch_sharpness(view),
            track=self._track(home, view, track) if track else None,
            notes=tuple(self._notes),
            view=view,
            cost=self._cost(),
        )

    def by_steps(self, home: Snapshot, reason: str) -> Curvature:
        """Look at a loss that can only be evaluated."""

        def loss_after(lr: float) -> float:
            self.loop.restore(home)
            self._steps += 1
            self.loop.step(lr)
            return self._evaluate()

        critical = critical_rate(loss_after, self._evaluate(), self.lr)
        return Curvature(self.of, None, None, None, None, self.lr, critical, None, None, self._cost(), (reason,), None)

    def _dynamics(
        self, home: Snapshot, landscape: Landscape, gradient: Float[np.ndarray, " parameter"]
    ) -> Dynamics | None:
        """Return what the optimizer makes of gradients, or None and leave a note why that is not known."""
        inquiry = Inquiry(self.loop, home, landscape, self.lr)
        dynamics = inquiry.dynamics(gradient)
        self._steps += inquiry.steps
        if dynamics is None:
            self._notes.append(f"The limit of the optimizer is not known. {inquiry.reason}")
        elif dynamics.is_young:
            self._notes.append(
                "The optimizer has taken few steps, so the limit is the one that it comes to while its gradient stays "
                "as it is."
            )
        return dynamics

    def _sharpness(self, view: View, derivatives: Derivatives, hint: Float[np.ndarray, " parameter"]) -> Eigenvalue:
        largest = largest_eigenvalue(
            view.product(derivatives),
            len(view.position),
            hint=hint,
            accuracy=self.accuracy,
            most_products=self.most_products,
            seed=self.seed,
        )
        self._products += largest.products
        return largest

    def _limit(self, view: View, sharpness: float) -> float | None:
        is_known = view.dynamics is not None or self.of == "hessian"
        return max_stable_lr(view.limit, sharpness) if is_known else None

    def _critical_along(self, home: Snapshot, landscape: Landscape) -> CriticalRate:
        """Find the critical learning rate along the update that the loop would make, by forward passes alone."""
        here = landscape.position()
        self._steps += 1
        self.loop.step(self.lr)
        direction = (landscape.position() - here) / self.lr
        self.loop.restore(home)

        def loss_at(lr: float) -> float:
            self._evaluations += 1
            return float(landscape.losses((here + lr * direction)[np.newaxis])[0])

        return critical_rate(loss_at, loss_at(0.0), self.lr)

    def _batch_sharpness(self, view: View) -> BatchSharpness | None:
        number = view.landscape.batches
        if number == 1:
            return None
        curvatures: list[float] = []
        for batch in range(number):
            derivatives = view.landscape.derivatives(batch)
            gradient = derivatives.gradient
            step = gradient if view.dynamics is None else view.dynamics.scale * gradient
            curvatures.append(
                float(step @ derivatives.product(step)) / max(float(gradient @ step), np.finfo(float).tiny)
            )
            self._products += 1
        return BatchSharpness(float(np.mean(curvatures)), float(np.std(curvatures, ddof=1) / np.sqrt(number)), number)

    def _track(self, home: Snapshot, first: View, steps: int) -> Track:
        """Take steps and note the sharpness at some places among them."""
        places = set(np.linspace(0, steps, min(steps + 1, _MOST_PLACES)).round().astype(int).tolist())
        seen: list[tuple[int, float, float]] = []
        losses: list[float] = []
        view, hint = first, None
        with progress("sharpness along the run", steps) as bar:
            for step in range(steps + 1):
                if step in places:
                    derivatives = view.landscape.derivatives()
                    if not np.isfinite(derivatives.loss) or not np.isfinite(derivatives.gradient).all():
                        break
                    view = _moved_on(view, derivatives)
                    largest = self._sharpness(view, derivatives, derivatives.gradient if hint is None else hint)
                    hint = largest.vector
                    seen.append((step, largest.value, view.limit / self.lr))
                if step < steps:
                    losses.append(self.loop.step(self.lr))
                    bar.advance()
        self._steps += len(losses)
        self.loop.restore(home)
        at, sharpness, limits = (np.array(column) for column in zip(*seen, strict=True))
        return Track(self.lr, at, sharpness, limits, np.array(losses))

    def _evaluate(self) -> float:
        self._evaluations += 1
        return self.loop.evaluate()

    def _cost(self) -> Cost:
        return Cost(self._steps, self._evaluations, time.perf_counter() - self._began, self._products)


def _moved_on(view: View, derivatives: Derivatives) -> View:
    """Return the view from where the loop has come to."""
    dynamics = view.dynamics
    if dynamics is not None:
        dynamics = moved_on(dynamics, view.landscape.updates, derivatives.gradient)
    return View(view.landscape, dynamics, view.landscape.position())
