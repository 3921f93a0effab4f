"""What PyTorch loops do beyond coming home."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import lrscout
from lrscout.core.errors import EmptyDataError, LossError, UnsupportedLoopError

X = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)
BATCHES = [(X[:8], Y[:8]), (X[8:], Y[8:])]


def linear(**optimizer):
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    return model, torch.optim.SGD(model.parameters(), **({"lr": 0.1} | optimizer))


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2),
        lambda p: torch.optim.AdamW(p, lr=1e-2),
        lambda p: torch.optim.Adagrad(p, lr=1e-2),
        lambda p: torch.optim.Adam(p, lr=torch.tensor(1e-2), capturable=False, foreach=False),
    ],
)
def test_a_step_is_the_step_that_the_user_would_take(make) -> None:
    losses = []
    for through_loop in (True, False):
        torch.manual_seed(0)
        model = nn.Linear(3, 1)
        optimizer = make(model.parameters())
        if through_loop:
            loop = lrscout.from_torch(model, optimizer, nn.MSELoss(), BATCHES)
            losses.append([loop.step(loop.lr) for _ in range(9)] + [*model.weight.flatten().tolist()])
            continue
        course = []
        for x, y in itertools.islice(itertools.cycle(BATCHES), 9):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            course.append(loss.item())
        losses.append([*course, *model.weight.flatten().tolist()])
    assert losses[0] == losses[1]


def test_the_groups_keep_their_ratios_and_get_their_rates_back() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    groups = [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[1].parameters(), "lr": 0.03}]
    optimizer = torch.optim.SGD(groups)
    seen = []
    note = seen.append  # A builtin's list is out of sight; one that the step reached by name would come home empty.

    def step_fn(batch):
        note([group["lr"] for group in optimizer.param_groups])
        return nn.functional.mse_loss(model(batch[0]), batch[1])

    loop = lrscout.from_torch(model, optimizer, step_fn=step_fn, data=BATCHES)
    lrscout.range_test(loop, min_lr=1e-5, max_lr=1e-2)
    assert all(second / first == pytest.approx(0.3) for first, second in seen)
    assert seen[0][0] == 1e-5
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.03]


def test_a_warmup_that_begins_at_zero_still_has_ratios() -> None:
    model, optimizer = linear()
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / 10, 1))
    loop = lrscout.from_torch(model, optimizer, nn.MSELoss(), BATCHES)
    assert loop.lr == 0
    assert lrscout.range_test(loop).lr is not None
    assert loop.lr == 0


def test_the_evaluation_is_in_evaluation_mode_and_exact() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3), nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    unequal = [(X[:3], Y[:3]), (X[3:], Y[3:])]
    loop = lrscout.from_torch(model, optimizer, nn.MSELoss(), BATCHES, eval_data=unequal)
    with torch.no_grad():
        expected = nn.functional.mse_loss(model.eval()(X), Y).item()
    model.train()
    assert loop.evaluate() == pytest.approx(expected, rel=1e-6)
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("give", ["endless iterator", "shuffled loader", None])
def test_the_evaluation_data_are_fixed(give) -> None:
    model, optimizer = linear()
    data = {
        "endless iterator": itertools.cycle(BATCHES),
        "shuffled loader": DataLoader(TensorDataset(X, Y), batch_size=4, shuffle=True),
        None: None,
    }[give]
    training = DataLoader(TensorDataset(X, Y), batch_size=4, shuffle=True)
    loop = lrscout.from_torch(model, optimizer, nn.MSELoss(), training, eval_data=data)
    first = loop.evaluate()
    loop.reseed(5)
    assert loop.evaluate() == first


@pytest.mark.parametrize(
    ("batch", "step_fn"),
    [
        ({"x": X, "y": Y}, lambda model, b: nn.functional.mse_loss(model(b["x"]), b["y"])),
        ((X, X, Y), lambda model, b: nn.functional.mse_loss(model(b[0]) + model(b[1]), b[2])),
        (X, lambda model, b: model(b).square().mean()),
    ],
)
def test_batches_of_any_structure(batch, step_fn) -> None:
    model, optimizer = linear()
    loop = lrscout.from_torch(model, optimizer, step_fn=lambda b: step_fn(model, b), data=[batch])
    assert loop.step(0.1) > loop.step(0.1)


def test_batches_that_loss_fn_cannot_take() -> None:
    model, optimizer = linear()
    loop = lrscout.from_torch(model, optimizer, nn.MSELoss(), [{"x": X, "y": Y}])
    with pytest.raises(UnsupportedLoopError, match=r"pair \(inputs, targets\), but it is a dict. Give step_fn"):
        loop.step(0.1)


def test_a_loss_that_is_not_one_number() -> None:
    model, optimizer = linear()
    loop = lrscout.from_torch(model, optimizer, nn.MSELoss(reduction="none"), BATCHES)
    with pytest.raises(LossError, match=r"tensor of shape \(8, 1\). Reduce it, for example with .mean"):
        lrscout.range_test(loop)
    loop = lrscout.from_torch(model, optimizer, lambda output, target: 1.0, BATCHES)
    with pytest.raises(LossError, match="float"):
        loop.step(0.1)


def test_a_loss_without_a_gradient() -> None:
    model, optimizer = linear()
    loop = lrscout.from_torch(model, optimizer, step_fn=lambda batch: torch.tensor(1.0), data=BATCHES)
    with pytest.raises(UnsupportedLoopError, match="does not depend on any parameter"):
        loop.step(0.1)


@pytest.mark.parametrize("data", [[], DataLoader(TensorDataset(X[:0], Y[:0])), iter(())])
def test_empty_data(data) -> None:
    model, optimizer = linear()
    with pytest.raises(EmptyDataError, match="no batches"):
        lrscout.range_test(lrscout.from_torch(model, optimizer, nn.MSELoss(), data))


def test_an_iterator_that_runs_out() -> None:
    model, optimizer = linear()
    loop = lrscout.from_torch(model, optimizer, nn.MSELoss(), iter(BATCHES))
    with pytest.raises(EmptyDataError, match="can be passed over only once"):
        lrscout.range_test(loop)
    assert loop.step(0.1) > 0, "what had been drawn comes again"


def test_optimizers_and_models_that_cannot_be_stepped() -> None:
    model, _ = linear()
    with pytest.raises(UnsupportedLoopError, match="LBFGS because"):
        lrscout.from_torch(model, torch.optim.LBFGS(model.parameters()), nn.MSELoss(), BATCHES)
    with pytest.raises(UnsupportedLoopError, match="lr that is 0"):
        lrscout.from_torch(model, torch.optim.SGD(model.parameters(), lr=0.0), nn.MSELoss(), BATCHES)
    lazy = nn.LazyLinear(1)
    with pytest.raises(UnsupportedLoopError, match="Run one batch through it"):
        lrscout.from_torch(lazy, torch.optim.SGD(lazy.parameters(), lr=0.1), nn.MSELoss(), BATCHES)


def test_arguments_that_make_no_step() -> None:
    model, optimizer = linear()
    with pytest.raises(UnsupportedLoopError, match="Give one of loss_fn"):
        lrscout.from_torch(model, optimizer, data=BATCHES)
    with pytest.raises(UnsupportedLoopError, match="Give data"):
        lrscout.from_torch(model, optimizer, nn.MSELoss())
    with pytest.raises(UnsupportedLoopError, match="data must be an iterable of batches, but it is a int"):
        lrscout.from_torch(model, optimizer, nn.MSELoss(), 3)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning", "ignore:.*fork:RuntimeWarning")
def test_a_loader_with_persistent_workers_keeps_the_users_pass() -> None:
    model, optimizer = linear()
    loader = DataLoader(TensorDataset(X, Y), batch_size=2, num_workers=1, persistent_workers=True)
    users = iter(loader)
    first = next(users)
    lrscout.range_test(lrscout.from_torch(model, optimizer, nn.MSELoss(), loader), steps=9)
    torch.testing.assert_close([first[0], *(x for x, _ in users)], list(X.split(2)))


def test_a_data_set_that_is_its_own_iterator_is_passed_over_once() -> None:
    class Feed(IterableDataset):
        def __init__(self) -> None:
            self.at = 0

        def __iter__(self):
            return self

        def __next__(self):
            self.at += 1
            return X[self.at % 16], Y[self.at % 16]

    model, optimizer = linear()
    loop = lrscout.from_torch(model, optimizer, nn.MSELoss(), DataLoader(Feed(), batch_size=4))
    losses = [lrscout.range_test(loop, steps=10, max_lr=1e-3).losses.tolist() for _ in range(2)]
    assert losses[0] == losses[1]


def test_a_tensor_that_shares_its_places_comes_back() -> None:
    class Odd(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 1)
            self.offset = torch.zeros(1).expand(1, 3)

        def forward(self, x):
            self.offset = (self.offset + 1).expand(1, 3)
            return super().forward(x + self.offset)

    torch.manual_seed(0)
    model = Odd()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    lrscout.range_test(lrscout.from_torch(model, optimizer, nn.MSELoss(), BATCHES))
    assert model.offset.tolist() == [[0, 0, 0]]


def test_an_averaged_copy_comes_home_with_the_loop() -> None:
    model, optimizer = linear()
    average = torch.optim.swa_utils.AveragedModel(model)

    def step_fn(batch):
        average.update_parameters(model)
        return nn.functional.mse_loss(model(batch[0]), batch[1])

    before = [tensor.clone() for tensor in average.state_dict().values()]
    lrscout.range_test(lrscout.from_torch(model, optimizer, step_fn=step_fn, data=BATCHES))
    torch.testing.assert_close(list(average.state_dict().values()), before, rtol=0, atol=0)


def test_modules_and_generators_that_a_step_function_reaches_come_home() -> None:
    model, optimizer = linear()
    teacher = nn.BatchNorm1d(3)
    generator = torch.Generator().manual_seed(3)

    def step_fn(batch):
        noise = torch.randn(batch[0].shape, generator=generator)
        return nn.functional.mse_loss(model(teacher(batch[0] + noise)), batch[1])

    before = generator.get_state(), teacher.running_mean.clone()
    lrscout.range_test(lrscout.from_torch(model, optimizer, step_fn=step_fn, data=BATCHES))
    assert torch.equal(generator.get_state(), before[0])
    assert torch.equal(teacher.running_mean, before[1])


class Averaging:
    """A step that is an object and keeps an average."""

    def __init__(self, model, teacher) -> None:
        self.model, self.average = model, torch.optim.swa_utils.AveragedModel(teacher)

    def __call__(self, batch):
        self.average.update_parameters(self.average.module)
        return plain_step(batch, model=self.model, teacher=self.average)


def plain_step(batch, *, model, teacher):
    return nn.functional.mse_loss(model(teacher(batch[0])), batch[1])


@pytest.mark.parametrize("form", ["partial", "object", "default", "container", "helper"])
def test_everything_that_a_step_reaches_comes_home_whatever_its_form(form: str) -> None:
    model, optimizer = linear()
    teacher = nn.BatchNorm1d(3)
    nets = {"teacher": teacher}

    def helper(batch):
        return nets["teacher"](batch[0])

    step_fn = {
        "partial": functools.partial(plain_step, model=model, teacher=teacher),
        "object": Averaging(model, teacher),
        "default": lambda batch, teacher=teacher: nn.functional.mse_loss(model(teacher(batch[0])), batch[1]),
        "container": lambda batch: nn.functional.mse_loss(model(nets["teacher"](batch[0])), batch[1]),
        "helper": lambda batch: nn.functional.mse_loss(model(helper(batch)), batch[1]),
    }[form]
    watched = step_fn.average if form == "object" else teacher
    before = [tensor.clone() for tensor in watched.state_dict().values()]
    loop = lrscout.from_torch(model, optimizer, step_fn=step_fn, data=BATCHES)
    lrscout.range_test(loop)
    loop.evaluate()
    torch.testing.assert_close(list(watched.state_dict().values()), before, rtol=0, atol=0)


def test_a_step_function_may_refer_to_what_is_yet_to_come() -> None:
    model, optimizer = linear()

    def step_fn(batch):
        if later is None:
            return model(batch[0]).mean()
        return nn.functional.mse_loss(model(batch[0]), batch[1])

    loop = lrscout.from_torch(model, optimizer, step_fn=step_fn, data=BATCHES)
    later = "a value"
    assert loop.step(0.1) > 0


def test_what_cannot_be_written_does_not_keep_the_rest_from_coming_home() -> None:
    class Cached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with torch.inference_mode():
                self.table = torch.ones(3)
            self.constants = np.arange(3.0)
            self.constants.flags.writeable = False
            self.queue = Queue()

        def forward(self, x):
            self.queue.kept = self.queue.kept * 0.5 + x.detach().mean(0)
            return x * self.table + self.queue.kept

    class Queue:
        def __init__(self) -> None:
            self.kept = torch.zeros(3)

    torch.manual_seed(0)
    model = nn.Sequential(Cached(), nn.BatchNorm1d(3), nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    before = [tensor.clone() for tensor in model.state_dict().values()]
    lrscout.range_test(lrscout.from_torch(model, optimizer, nn.MSELoss(), BATCHES))
    torch.testing.assert_close(list(model.state_dict().values()), before, rtol=0, atol=0)
    assert model[0].queue.kept.tolist() == [0, 0, 0]
    assert optimizer.param_groups[0]["lr"] == 0.05
    assert not optimizer.state[model[2].weight].get("momentum_buffer")


def test_samplers_and_data_sets_that_count_come_home() -> None:
    class Epochs(torch.utils.data.Sampler):
        epoch = 0

        def __init__(self) -> None:
            self.epoch, self.generators = 0, [np.random.default_rng(0)]

        def __iter__(self):
            self.epoch += 1
            return iter(np.random.default_rng(self.epoch).permutation(16).tolist())

        def __len__(self) -> int:
            return 16

    model, optimizer = linear()
    sampler = Epochs()
    loop = lrscout.from_torch(
        model, optimizer, nn.MSELoss(), DataLoader(TensorDataset(X, Y), batch_size=4, sampler=sampler)
    )
    first = lrscout.range_test(loop, steps=30).losses.tolist()
    assert sampler.epoch == 0
    assert lrscout.range_test(loop, steps=30).losses.tolist() == first


@pytest.mark.parametrize("make", [torch.optim.Rprop, torch.optim.ASGD])
def test_optimizers_with_a_step_size_of_their_own_are_refused(make) -> None:
    model, _ = linear()
    with pytest.raises(UnsupportedLoopError, match="a step size of its own"):
        lrscout.from_torch(model, make(model.parameters(), lr=0.1), nn.MSELoss(), BATCHES)


def test_objects_that_an_optimizer_holds_on_to_stay_the_same_objects() -> None:
    model, optimizer = linear(momentum=0.9)
    loop = lrscout.from_torch(model, optimizer, nn.MSELoss(), BATCHES)
    loop.step(0.1)
    held = [model.weight, optimizer.state[model.weight]["momentum_buffer"], optimizer.param_groups[0]]
    lrscout.range_test(loop)
    now = [model.weight, optimizer.state[model.weight]["momentum_buffer"], optimizer.param_groups[0]]
    assert all(a is b for a, b in zip(held, now, strict=True))
