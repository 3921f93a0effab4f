"""The rules inside fastai's own finder."""

from __future__ import annotations

import math
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from lrscout.analyse import rules
from lrscout.callbacks.fastai import minimum, slide, steepest, valley
from tests.problems import range_test_curve

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # fastai's imports are not ours to mend.
    from fastai.callback import schedule as _  # noqa: F401  # Gives learners their finder.
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner

ALL = (minimum, steepest, valley, slide)


@pytest.fixture
def learner(tmp_path):
    torch.manual_seed(0)
    x = torch.randn(256, 8)
    data = TensorDataset(x, x.sum(1, keepdim=True))
    loaders = DataLoaders(*(DataLoader(data, bs=32, shuffle=shuffle) for shuffle in (True, False)))
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    return Learner(loaders, model, loss_func=nn.MSELoss(), path=tmp_path)


@pytest.mark.filterwarnings("ignore")  # fastai's own.
def test_lr_find_takes_them_as_they_are(learner) -> None:
    with learner.no_bar():
        found = learner.lr_find(suggest_funcs=ALL, show_plot=False)
    assert found._fields == ("minimum", "steepest", "valley", "slide")
    lrs, losses = learner.recorder.lrs[10:-5], [float(loss) for loss in learner.recorder.losses[10:-5]]
    for name, lr in found._asdict().items():
        expected = getattr(rules, name)(np.array(lrs), np.array(losses))
        assert lr == pytest.approx(expected) if expected is not None else math.isnan(lr)
    assert 1e-3 < found.minimum < 1


@pytest.mark.filterwarnings("ignore")
def test_lr_find_plots_what_they_found(learner) -> None:
    import matplotlib.pyplot as plt

    with learner.no_bar():
        learner.lr_find(suggest_funcs=(minimum, partial(valley)))
    labels = [text.get_text() for text in plt.gca().get_legend().get_texts()]
    assert labels == ["minimum", "valley"]
    plt.close("all")


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.__name__)
def test_the_point_lies_on_the_curve(rule) -> None:
    curve = range_test_curve()
    lr, (at, loss) = rule(torch.tensor(curve.lrs), torch.tensor(curve.losses), 100)
    assert at == lr
    assert loss == pytest.approx(np.interp(np.log(lr), np.log(curve.lrs), curve.losses))


@pytest.mark.parametrize("losses", [[], [1.0], [1.0, 2.0, 3.0]])
def test_no_such_place_is_nan(losses) -> None:
    lr, point = steepest(np.geomspace(1e-3, 1, len(losses)), np.array(losses), len(losses))
    assert math.isnan(lr)
    assert all(map(math.isnan, point))
