"""Curvature, on quadratics whose spectrum is known, in every framework; and what it says where it cannot know."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import lrscout
from lrscout.core.errors import InvalidValueError, UnsupportedLoopError
from tests.measure.quadratics import FRAMEWORKS, Problem, spectrum
from tests.problems import quadratic_loop

KINDS = ("even ratios", "even differences", "a crowd at the top")
MANY = "functions" if "functions" in FRAMEWORKS else "keras"


def growth(loop, lr: float, steps: int) -> float:
    """How many times as high the loss is after some steps; infinite where it is none any more."""
    home = loop.snapshot()
    with np.errstate(over="ignore", invalid="ignore"):
        losses = np.array([loop.step(lr) for _ in range(steps)])
    loop.restore(home)
    return float(losses[-1] / losses[0]) if np.isfinite(losses[-1]) else math.inf


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("condition", [10, 1e3, 1e6])
@pytest.mark.parametrize("dimension", [2, 10, 100, 1000, 10_000])
def test_the_sharpness_is_right_to_one_percent(dimension: int, condition: float, kind: str) -> None:
    curvatures = spectrum(dimension, condition, kind)
    loop = FRAMEWORKS[MANY](Problem(curvatures), 0.1, 0.0)
    found = lrscout.curvature(loop)
    assert found.sharpness == pytest.approx(curvatures.max(), rel=0.01)
    assert abs(found.sharpness / curvatures.max() - 1) <= found.relative_error + 1e-5
    assert found.relative_error <= 0.01


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(("dimension", "condition"), [(2, 10), (50, 1e6), (10_000, 1e3)])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_limit_predicts_the_truth(framework: str, dimension: int, condition: float, momentum: float) -> None:
    loop = FRAMEWORKS[framework](Problem(spectrum(dimension, condition)), 0.1, momentum)
    found = lrscout.curvature(loop, accuracy=0.005)
    assert found.max_stable_lr == pytest.approx(2 * (1 + momentum), rel=0.01)
    # Above the limit every step multiplies the loss along the sharpest axis by 1.04 ** 2 at least.
    assert growth(loop, 0.98 * found.max_stable_lr, 400) < 1
    assert growth(loop, 1.02 * found.max_stable_lr, 400) > 1e4


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_loop_stays_where_it_was(framework: str) -> None:
    runs = []
    for visits in (False, True):
        loop = FRAMEWORKS[framework](Problem(spectrum(20, 100)), 0.1, 0.9)
        losses = [loop.step(0.1) for _ in range(3)]
        if visits:
            lrscout.curvature(loop, track=5).spectrum(2)
        runs.append([*losses, *(loop.step(0.1) for _ in range(5))])
    assert runs[0] == runs[1]


@pytest.mark.skipif(MANY == "keras", reason="this is about PyTorch")
@pytest.mark.parametrize("steps", [0, 300])
def test_adam_is_stable_as_far_as_its_preconditioner_allows(steps: int) -> None:
    """The oracle is a heavy ball with an averaged gradient, in NumPy, and the scale read off PyTorch's own state."""
    problem = Problem(spectrum(30, 1e3))
    x = torch.nn.Parameter(torch.tensor(problem.start))
    module = torch.nn.Module()
    module.x = x
    optimizer = torch.optim.Adam([x], 1e-3)
    curvatures, mirror = torch.tensor(problem.curvatures), torch.tensor(problem.mirror)

    def loss(batch):
        return (curvatures * (x - 2 * mirror * (mirror * x).sum()) ** 2).sum() / 2

    loop = lrscout.from_torch(module, optimizer, step_fn=loss, data=[torch.zeros(1)])
    for _ in range(steps):
        loop.step(1e-3)
    found = lrscout.curvature(loop, accuracy=0.001)
    assert found.optimizer is not None
    assert found.optimizer.startswith("adaptive descent with momentum 0.9")

    start = x.detach().numpy().astype(float)
    gradient = problem.gradient(start)
    squares = optimizer.state[x]["exp_avg_sq"].numpy().astype(float) if steps else np.zeros(30)
    squares = 0.999 * squares + 0.001 * gradient**2
    scale = np.sqrt(squares / (1 - 0.999 ** (steps + 1))) + 1e-8

    def height(lr: float) -> float:
        at, average = start.copy(), np.zeros(30)
        for _ in range(800):
            average = 0.9 * average + 0.1 * problem.gradient(at)
            at = at - lr * average / scale
        return problem.loss(at)

    assert height(0.98 * found.max_stable_lr) < problem.loss(start)
    assert height(1.02 * found.max_stable_lr) > 1e6 * problem.loss(start)


@pytest.mark.skipif(MANY == "keras", reason="one framework is enough")
class TestMore:
    def test_the_critical_rate_is_that_of_a_parabola(self) -> None:
        problem = Problem(spectrum(10, 10))
        loop = FRAMEWORKS["functions"](problem, 0.1, 0.0)
        gradient = problem.gradient(problem.start)
        expected = 2 * gradient @ gradient / (gradient @ problem.gradient(gradient))
        found = lrscout.curvature(loop)
        assert found.critical.low <= expected <= found.critical.high
        assert found.critical.high / found.critical.low <= 1.2
        assert found.cost.evaluations <= 9

    def test_a_loop_without_derivatives_has_its_critical_rate(self) -> None:
        loop = quadratic_loop(curvatures=(4.0, 0.5))
        with pytest.raises(UnsupportedLoopError, match="no evaluate function"):
            lrscout.curvature(loop)

        state = [2.0]

        def step(lr):
            loss = 2 * state[0] ** 2
            state[0] -= lr * 4 * state[0]
            return loss

        loop = lrscout.from_functions(
            step, state.copy, lambda copy: state.__setitem__(0, copy[0]), lambda: 2 * state[0] ** 2, lr=0.1
        )
        found = lrscout.curvature(loop)
        assert found.sharpness is None
        assert found.max_stable_lr is None
        assert found.critical.low <= 0.5 <= found.critical.high
        assert "sharpness is not known" in str(found)
        assert found.to_dict()["critical_lr"] == found.critical_lr
        assert state == [2.0]
        with pytest.raises(UnsupportedLoopError, match="Cannot track"):
            lrscout.curvature(loop, track=3)
        with pytest.raises(UnsupportedLoopError, match="no spectrum"):
            found.spectrum(1)

    def test_momentum_that_cannot_be_asked_for_is_not_guessed(self) -> None:
        problem = Problem(spectrum(5, 10))
        for momentum, known in ((0.0, True), (0.9, False)):
            state = {"x": problem.start.astype(float), "change": np.zeros(5)}

            def step(lr, momentum=momentum, state=state):
                loss = problem.loss(state["x"])
                state["change"] = momentum * state["change"] - lr * problem.gradient(state["x"])
                state["x"] = state["x"] + state["change"]
                return loss

            loop = lrscout.from_functions(
                step,
                state.copy,
                state.update,
                lr=0.1,
                parameters=lambda state=state: state["x"],
                loss_at=problem.loss,
                gradient_at=problem.gradient,
            )
            found = lrscout.curvature(loop)
            assert found.sharpness == pytest.approx(1, rel=1e-3)
            assert (found.max_stable_lr is not None) is known
            assert lrscout.curvature(loop, of="hessian").max_stable_lr == pytest.approx(2, rel=1e-3)

    def test_the_spectrum_has_both_ends_and_repeated_values(self) -> None:
        curvatures = np.array([3.0, 3.0, 2.0, 1.0, -1.0, -2.0])
        loop = FRAMEWORKS["functions"](Problem(curvatures), 0.1, 0.0)
        found = lrscout.curvature(loop)
        largest, smallest = found.spectrum(3)
        assert [one.value for one in largest] == pytest.approx([3, 3, 2], abs=1e-4)
        assert [one.value for one in smallest] == pytest.approx([-2, -1, 1], abs=1e-4)
        loop.step(0.1)
        with pytest.raises(UnsupportedLoopError, match="moved on"):
            found.spectrum(1)

    def test_where_nothing_curves_upwards_there_is_no_limit(self) -> None:
        found = lrscout.curvature(FRAMEWORKS["functions"](Problem(np.array([-1.0, -2.0])), 0.1, 0.0))
        assert found.sharpness == pytest.approx(-1, rel=1e-3)
        assert found.max_stable_lr is None
        assert found.critical_lr is None
        assert "at no learning rate" in str(found)

    def test_batches_have_a_sharpness_of_their_own(self) -> None:
        """On each batch the loss is `scale * x**2 / 2` in one coordinate; along its own gradient it curves by scale."""
        scales = np.array([1.0, 2.0, 3.0])
        module = torch.nn.Module()
        module.x = x = torch.nn.Parameter(torch.ones(3))
        data = [torch.tensor([float(index)]) for index in range(3)]

        def loss(batch):
            index = int(batch.item())
            return scales[index] * x[index] ** 2 / 2

        loop = lrscout.from_torch(module, torch.optim.SGD([x], 0.1), step_fn=loss, data=data)
        found = lrscout.curvature(loop)
        assert found.batch_sharpness.mean == pytest.approx(2, rel=1e-5)
        assert found.batch_sharpness.error == pytest.approx(1 / math.sqrt(3), rel=1e-5)
        assert found.sharpness == pytest.approx(1, rel=1e-5)

    def test_the_track_of_a_quadratic_is_level(self) -> None:
        found = lrscout.curvature(FRAMEWORKS["functions"](Problem(spectrum(8, 10)), 0.5, 0.9), track=30)
        track = found.track
        assert track.steps.tolist() == list(range(31))
        assert track.sharpness == pytest.approx(np.ones(31), rel=1e-3)
        assert track.limits == pytest.approx(np.full(31, 3.8 / 0.5), rel=1e-3)
        assert len(track.losses) == 30
        assert found.to_dict()["track"]["sharpness"]

    def test_a_track_ends_where_the_loss_does(self) -> None:
        loop = FRAMEWORKS["jax"](Problem(spectrum(8, 10)), 1e6, 0.0)
        track = lrscout.curvature(loop, track=50).track
        assert 0 < len(track.steps) < 51
        assert np.isfinite(track.sharpness).all()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"of": "loss"}, "of must be one of optimizer, hessian"),
            ({"lr": 0.0}, "lr must be a finite number above zero"),
            ({"batches": 0}, "batches must be at least 1"),
            ({"accuracy": 1.5}, "accuracy must be in"),
            ({"track": -1}, "track must be at least 0"),
            ({"most_products": 0}, "most_products must be at least 1"),
        ],
    )
    def test_a_bad_argument_is_refused(self, arguments, message) -> None:
        with pytest.raises(InvalidValueError, match=message):
            lrscout.curvature(FRAMEWORKS["functions"](Problem(np.ones(2)), 0.1, 0.0), **arguments)

    def test_a_group_that_is_held_leaves_no_limit_of_one_rate(self) -> None:
        module = torch.nn.Module()
        module.a, module.b = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
        groups = [{"params": [module.a], "lr": 0.1}, {"params": [module.b], "lr": 0.15}]

        def loss(batch):
            return (module.a**2).sum() / 2 + 5 * (module.b**2).sum() / 2

        def made(group):
            optimizer = torch.optim.SGD(groups, lr=0.1)
            return lrscout.from_torch(module, optimizer, step_fn=loss, data=[torch.zeros(1)], group=group)

        held = lrscout.curvature(made(0))
        assert held.max_stable_lr is None
        assert "keep a learning rate of their own" in str(held)
        # Moved together, the second group steps 1.5 times as far: its curvature counts as 7.5.
        assert lrscout.curvature(made(None)).max_stable_lr == pytest.approx(2 / 7.5, rel=1e-4)

    def test_a_warmup_that_begins_at_zero_needs_a_rate_to_speak_of(self) -> None:
        module = torch.nn.Module()
        module.x = torch.nn.Parameter(torch.ones(2))
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 10)
        loop = lrscout.from_torch(module, optimizer, step_fn=lambda batch: (module.x**2).sum(), data=[torch.zeros(1)])
        with pytest.raises(InvalidValueError, match="Give the lr to speak of"):
            lrscout.curvature(loop)
        assert lrscout.curvature(loop, lr=0.1).max_stable_lr == pytest.approx(1, rel=1e-4)

    def test_a_result_holds_no_graph(self) -> None:
        found = lrscout.curvature(FRAMEWORKS["torch"](Problem(np.ones(3)), 0.1, 0.0))
        assert not any("derivatives" in name for name in vars(found.view))

    def test_what_is_no_loop_is_refused(self) -> None:
        with pytest.raises(UnsupportedLoopError, match="from_"):
            lrscout.curvature(3)

    def test_a_loss_that_is_not_finite_is_refused(self) -> None:
        problem = Problem(np.ones(2))
        problem.start[:] = np.nan
        with pytest.raises(InvalidValueError, match="not finite"):
            lrscout.curvature(FRAMEWORKS["functions"](problem, 0.1, 0.0))
