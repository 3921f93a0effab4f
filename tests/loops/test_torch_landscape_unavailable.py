"""PyTorch loops without a landscape, and errors in the middle of one."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import lrscout
from lrscout.core.errors import InvalidValueError, LandscapeUnavailableError
from tests.battery import check_comes_home
from tests.loops.cases_torch import CASES, seed_everything
from tests.loops.test_torch_landscape import batches, loop_of, optimizer_of, perceptron, points
from tests.loops.test_torch_landscape_ways import KEPT, way_of


class BrokenError(Exception):
    pass


@pytest.mark.parametrize("name", ["everything", "scaled", "accumulated", "adversarial"])
@pytest.mark.parametrize("calls", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("error", [BrokenError, KeyboardInterrupt, RuntimeError])
def test_an_error_in_the_middle_leaves_the_loop_at_home(name, calls, error) -> None:
    def interrupted_visit(case) -> None:
        loss_of, left = case.loop._train_loss_of or case.loop._eval_loss_of, [calls]

        def breaks(batch):
            loss = loss_of(batch)
            left[0] -= 1
            if left[0] < 0:
                raise error("a layer broke")
            return loss

        attribute = "_train_loss_of" if case.loop._train_loss_of else "_eval_loss_of"
        setattr(case.loop, attribute, breaks)
        try:
            with pytest.raises(error):
                visit_often(case)
        finally:
            setattr(case.loop, attribute, loss_of)

    check_comes_home(CASES[name], interrupted_visit)


def visit_often(case) -> None:
    for number in (1, 3):
        landscape = case.loop.landscape(number)
        landscape.losses(points(landscape.position(), 5))
        landscape.derivatives()


def test_an_error_in_the_loss_closes_no_way() -> None:
    seed_everything()
    model, fails = perceptron().double(), [True]

    def step_fn(batch):
        if fails[0]:
            raise RuntimeError("a layer broke")
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    loop = lrscout.from_torch(model, optimizer_of(model), step_fn=step_fn, data=batches())
    landscape = loop.landscape(2)
    with pytest.raises(RuntimeError, match="a layer broke"):
        landscape.derivatives()
    fails[0] = False
    assert landscape.derivatives().exact
    assert way_of(landscape) == KEPT


def with_update_fn(**options):
    model = perceptron()
    return lrscout.from_torch(model, optimizer_of(model), update_fn=lambda batch: 1.0, data=batches(), **options)


def from_step_fn(loss_of):
    model = perceptron()
    return lrscout.from_torch(model, optimizer_of(model), step_fn=lambda b: loss_of(model), data=batches())


def complex_parameters():
    model = nn.Linear(2, 1, dtype=torch.complex64)
    return lrscout.from_torch(
        model, optimizer_of(model), step_fn=lambda x: model(x).abs().mean(), data=[torch.ones(1, 2)]
    )


def reentrant():
    model = perceptron()

    def loss_of(batch):
        return checkpoint(model, batch[0].float().requires_grad_(), use_reentrant=True).square().mean()

    return lrscout.from_torch(model, optimizer_of(model), step_fn=loss_of, data=batches())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (with_update_fn, "update_fn makes the whole update itself"),
        (
            lambda: with_update_fn(eval_fn=lambda batch: torch.zeros(())),
            "only its evaluation is known.*does not depend",
        ),
        (lambda: from_step_fn(lambda model: torch.ones(())), "does not depend on any parameter"),
        (complex_parameters, "not real numbers, and some are of torch.complex64"),
        (reentrant, "use_reentrant=False"),
        (
            lambda: lrscout.from_torch(
                m := perceptron().requires_grad_(False), optimizer_of(m), nn.CrossEntropyLoss(), batches()
            ),
            "trains no parameter",
        ),
    ],
)
def test_loops_without_a_landscape(make, message) -> None:
    with pytest.raises(LandscapeUnavailableError, match=message) as caught:
        make().landscape(2).derivatives()
    assert str(caught.value).endswith(".")


def test_a_model_that_has_other_parameters_by_now() -> None:
    loop, model = loop_of(perceptron)
    landscape = loop.landscape(1)
    model[0].weight = nn.Parameter(torch.zeros(4, 6, dtype=torch.float64))
    with pytest.raises(LandscapeUnavailableError, match="other parameters by now"):
        landscape.derivatives()


def test_no_batches() -> None:
    with pytest.raises(InvalidValueError, match="batches"):
        loop_of(perceptron)[0].landscape(0)
