"""What Hugging Face loops do beyond coming home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import GradientState
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.optimization import Adafactor

import lrscout
from lrscout.core.errors import InvalidValueError, UnsupportedLoopError
from tests.battery import bits
from tests.loops.cases_transformers import (
    GENTLE,
    RECOMPUTED,
    RememberingTrainer,
    Sentences,
    Texts,
    bert,
    gpt2,
    trainer_of,
)

LR = 0.01


class OwnStep(Trainer):
    """A trainer whose own step takes something out of the batch and changes the gradients."""

    def training_step(self, model, inputs, num_items_in_batch=None):
        labels = inputs.pop("labels")
        loss = super().training_step(model, {**inputs, "labels": labels}, num_items_in_batch)
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(0.5)
        return loss


class Seeded:
    """A collator that makes its generator at its first use."""

    def __init__(self) -> None:
        self.generator: torch.Generator | None = None

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        if self.generator is None:
            self.generator = torch.Generator().manual_seed(5)
        words = torch.stack([example["input_ids"] for example in examples])
        kept = torch.rand(words.shape, generator=self.generator) > 0.2
        return {"input_ids": words * kept, "labels": torch.tensor([example["labels"] for example in examples])}


def mean_loss(outputs, labels, num_items_in_batch=None) -> torch.Tensor:
    losses = torch.nn.functional.cross_entropy(outputs["logits"], labels, reduction="sum")
    return losses / num_items_in_batch


def words(**others: Any) -> dict[str, Any]:
    return {"model": bert, "data": Sentences, **others}


SETTINGS = {
    "plain": words(),
    "clipped": words(settings={"max_grad_norm": 0.05}),
    "unclipped": words(settings={"max_grad_norm": 0.0}),
    "accumulated": words(settings={"gradient_accumulation_steps": 2}),
    "cut short by the end of a pass": words(settings={"gradient_accumulation_steps": 4}),
    "own count of items": words(settings={"gradient_accumulation_steps": 2}, compute_loss_func=mean_loss),
    "own loss": words(kind=RememberingTrainer, settings={"gradient_accumulation_steps": 2}),
    "own step": words(kind=OwnStep),
    "own collator": words(data_collator=Seeded()),
    "bf16": words(settings={"bf16": True, "use_cpu": True}),
    "smoothed labels": words(settings={"label_smoothing_factor": 0.2}),
    "noise on embeddings": words(settings={"neftune_noise_alpha": 5.0}),
    "recomputed activations": words(settings={RECOMPUTED: True}),
    "adafactor": words(settings={"optim": "adafactor"}),
    "sgd": words(settings={"optim": "sgd", "optim_args": "momentum=0.9"}),
    "fused": words(settings={"optim": "adamw_torch_fused"}),
    "global order": words(settings={"accelerator_config": {"use_seedable_sampler": False}}),
    "sorted by length": words(settings={"train_sampling_strategy": "sequential", "dataloader_drop_last": True}),
    "tokens": {"model": gpt2, "data": Texts, "settings": {"gradient_accumulation_steps": 2}},
    "smoothed tokens": {"model": gpt2, "data": Texts, "settings": {"label_smoothing_factor": 0.2}},
}


def made(model, data, kind: type[Trainer] = Trainer, **others: Any) -> tuple[Trainer, Any]:
    """Return a trainer whose model is made from a fixed seed, and its own way to train."""
    torch.manual_seed(0)
    if isinstance(collator := others.get("data_collator"), Seeded):
        collator.generator = None
    return trainer_of(model(), data(), kind, **others)


def state_of(model: torch.nn.Module) -> list[Any]:
    return bits([tensor.detach().numpy() for tensor in model.state_dict().values()])


@pytest.mark.parametrize("name", SETTINGS)
def test_a_step_is_the_trainers_own_bit_for_bit(name: str) -> None:
    trainer, train = made(**SETTINGS[name])
    np.random.seed(0)
    losses = train(9)

    scouted, _ = made(**SETTINGS[name])
    np.random.seed(0)
    loop = lrscout.from_trainer(scouted)
    assert [loop.step(LR) for _ in range(9)] == losses
    assert state_of(scouted.model) == state_of(trainer.model)


def test_a_range_test_at_a_constant_lr_is_the_training() -> None:
    def still() -> torch.nn.Module:
        return bert(dropout=0.0)

    settings = {"gradient_accumulation_steps": 2, "max_grad_norm": 0.1}
    trainer, _ = made(still, lambda: Sentences(64, noise=False), settings=settings)
    test = lrscout.range_test(lrscout.from_trainer(trainer), min_lr=LR, max_lr=LR * (1 + 1e-9), steps=8)
    _, train = made(still, lambda: Sentences(64, noise=False), settings=settings)
    assert test.losses == pytest.approx(train(8), rel=1e-6)


def test_the_model_of_model_init_is_the_one_that_training_begins_with() -> None:
    trainer, train = trainer_of(None, Sentences(noise=False), model_init=lambda: bert(dropout=0.0))
    losses = train(6)
    trained = state_of(trainer.model)
    loop = lrscout.from_trainer(trainer)
    assert [loop.step(LR) for _ in range(6)] == losses
    lrscout.range_test(loop, **GENTLE)
    assert state_of(trainer.model) == trained
    assert train(6) == losses


def test_evaluation_is_the_trainers() -> None:
    def trainer_with(data: Any) -> Trainer:
        settings = {"per_device_eval_batch_size": 3, "gradient_accumulation_steps": 2}
        return made(bert, Sentences, settings=settings, eval_dataset=data)[0]

    held_out, more = Sentences(10, noise=False), Sentences(5, noise=False)
    more.words = more.words.flip(1)
    trainer = trainer_with(held_out)
    first, second = (trainer.evaluate(data)["eval_loss"] for data in (held_out, more))
    both = (10 * first + 5 * second) / 15
    assert lrscout.from_trainer(trainer_with(held_out)).evaluate() == pytest.approx(first, rel=1e-6)
    assert lrscout.from_trainer(trainer_with({"a": held_out, "b": more})).evaluate() == pytest.approx(both, rel=1e-6)
    assert lrscout.from_trainer(trainer, eval_data=more).evaluate() == pytest.approx(second, rel=1e-6)
    loader = DataLoader(more, batch_size=2)
    assert lrscout.from_trainer(trainer, eval_data=loader).evaluate() == pytest.approx(second, rel=1e-6)


def test_evaluation_data_are_else_four_training_steps() -> None:
    trainer, _ = made(lambda: bert(dropout=0.0), lambda: Sentences(64, noise=False))
    loop = lrscout.from_trainer(trainer)
    home = loop.snapshot()
    losses = [loop.step(1e-30) for _ in range(4)]
    loop.restore(home)
    assert loop.evaluate() == pytest.approx(np.mean(losses), rel=1e-6)


class Strict(TrainerCallback):
    """Is never to be called."""

    armed = False

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_") and object.__getattribute__(self, "armed"):
            raise AssertionError(f"{name} was called")
        return super().__getattribute__(name)


class Silent(RememberingTrainer):
    """A trainer that logs in its loss, but not while it is scouted."""

    def log(self, logs, start_time=None) -> None:
        raise AssertionError("logged")


def everything_of(trainer: Trainer) -> list[Any]:
    """Every attribute that a trainer, its accelerator and its model have, by identity."""
    owners = [trainer, trainer.state, trainer.control, trainer.callback_handler, trainer.accelerator, trainer.args]
    owners += [GradientState(), trainer.model.config, *trainer.model.modules()]
    held = [vars(owner) for owner in owners]
    hooks = [dict(value) for attributes in held for value in attributes.values() if isinstance(value, dict)]
    lists = [list(value) for attributes in held for value in attributes.values() if isinstance(value, list)]
    return [*map(dict, held), *hooks, *lists]


def test_nothing_is_called_written_printed_or_left(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    strict = Strict()
    settings = {
        "output_dir": str(tmp_path),
        "bf16": True,
        "use_cpu": True,
        "neftune_noise_alpha": 5.0,
        RECOMPUTED: True,
        "save_strategy": "steps",
        "save_steps": 1,
        "eval_strategy": "steps",
        "eval_steps": 1,
    }
    trainer, _ = made(bert, Sentences, Silent, settings=settings, eval_dataset=Sentences(8))
    trainer.add_callback(strict)
    strict.armed = True
    before = everything_of(trainer)
    loop = lrscout.from_trainer(trainer)
    lrscout.range_test(loop, **GENTLE)
    lrscout.range_test(loop, loss="evaluation", **GENTLE)
    after = everything_of(trainer)
    assert [list(group) for group in before] == [list(group) for group in after]
    for old, new in zip(before, after, strict=True):
        values = [(old[key], new[key]) for key in old] if isinstance(old, dict) else zip(old, new, strict=True)
        assert all(a is b or bits(a) == bits(b) for a, b in values)
    assert trainer.optimizer is None
    assert trainer.lr_scheduler is None
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_loop_follows_the_optimizer_that_training_brings() -> None:
    trainer, train = made(bert, Sentences, settings={"optim": "sgd", "optim_args": "momentum=0.9"})
    loop = lrscout.from_trainer(trainer)
    train(4)
    live = trainer.optimizer.optimizer
    later = lrscout.from_trainer(trainer)
    home = loop.snapshot()
    momenta = [slot["momentum_buffer"] for slot in live.state.values()]
    before = bits([momentum.numpy() for momentum in momenta])
    loop.step(LR)
    assert bits([momentum.numpy() for momentum in momenta]) != before
    loop.restore(home)
    assert bits([momentum.numpy() for momentum in momenta]) == before
    assert loop.lr == later.lr == LR
    assert trainer.optimizer.optimizer is live


def test_a_callback_may_scout_in_the_middle_of_training() -> None:
    class Scout(TrainerCallback):
        trainer: Trainer | None = None

        def on_step_end(self, args, state, control, **others) -> None:
            if self.trainer is not None and state.global_step == 4:
                settings = dict(GENTLE, steps=10)
                tests.append(lrscout.range_test(lrscout.from_trainer(self.trainer), **settings))

    courses, tests = [], []
    for scouting in (False, True):
        trainer, train = made(bert, Sentences, settings={"neftune_noise_alpha": 5.0, "lr_scheduler_type": "linear"})
        callback = Scout()
        trainer.add_callback(callback)
        np.random.seed(0)
        callback.trainer = trainer if scouting else None
        courses.append((train(9), state_of(trainer.model)))
    assert len(tests) == 1
    assert courses[0] == courses[1]


def test_one_group_moves_and_the_other_is_held() -> None:
    trainer, _ = made(bert, Sentences, settings={"weight_decay": 0.1})
    loop = lrscout.from_trainer(trainer, group=1)
    loop.step(0.5)
    with loop._visit():
        assert [group["lr"] for group in trainer.optimizer.param_groups] == [LR, 0.5]
        assert [group["weight_decay"] for group in trainer.optimizer.param_groups] == [0.1, 0.0]


def test_biases_alone_may_be_trained() -> None:
    def biases() -> torch.nn.Module:
        model = bert()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("bias" in name)
        return model

    _, train = made(biases, Sentences)
    np.random.seed(0)
    losses = train(3)
    scouted, _ = made(biases, Sentences)
    np.random.seed(0)
    loop = lrscout.from_trainer(scouted)
    assert [loop.step(LR) for _ in range(3)] == losses


def test_a_seed_is_an_order_of_the_data() -> None:
    trainer, _ = made(lambda: bert(dropout=0.0), lambda: Sentences(64, noise=False))
    loop = lrscout.from_trainer(trainer)
    tests = [lrscout.range_test(loop, seed=seed, **GENTLE).losses for seed in (0, 0, 1)]
    assert bits(tests[0]) == bits(tests[1])
    assert bits(tests[0]) != bits(tests[2])


@pytest.mark.usefixtures("forkserver")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_pass_in_the_middle_of_the_data_goes_on(workers: int) -> None:
    persistent = {"dataloader_num_workers": workers, "dataloader_persistent_workers": bool(workers)}
    courses = []
    for scouting in (False, True):
        trainer, _ = made(bert, Sentences, OwnStep, data_collator=Seeded(), settings=persistent)
        np.random.seed(0)
        loop = lrscout.from_trainer(trainer)
        course = [loop.step(LR) for _ in range(2)]
        if scouting:
            lrscout.range_test(loop, **dict(GENTLE, steps=12))
            home = loop.snapshot()
            ahead = [loop.step(LR) for _ in range(12)]
            loop.restore(home)
            assert [loop.step(LR) for _ in range(12)] == ahead
            loop.restore(home)
        courses.append(course + [loop.step(LR) for _ in range(14)])
    assert courses[0] == courses[1]


def test_adafactor_must_follow_the_lr() -> None:
    model = bert()
    optimizers = (Adafactor(model.parameters(), lr=None, relative_step=True), None)
    trainer, _ = trainer_of(model, Sentences(), optimizers=optimizers)
    with pytest.raises(UnsupportedLoopError, match="relative_step"):
        lrscout.from_trainer(trainer)


def test_lbfgs_is_refused() -> None:
    model = bert()
    trainer, _ = trainer_of(model, Sentences(), optimizers=(torch.optim.LBFGS(model.parameters()), None))
    with pytest.raises(UnsupportedLoopError, match="LBFGS"):
        lrscout.from_trainer(trainer)
    assert isinstance(trainer.optimizer, torch.optim.LBFGS)


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("is_deepspeed_enabled", True, "spread by DeepSpeed"),
        ("is_fsdp_enabled", True, "spread by FSDP"),
        ("is_distributed_loading_by_transformers", True, "parallelism"),
        ("train_dataset", None, "Give it a train_dataset"),
    ],
)
def test_what_cannot_be_scouted_is_refused(attribute: str, value: Any, message: str) -> None:
    trainer, _ = made(bert, Sentences)
    setattr(trainer, attribute, value)
    with pytest.raises(UnsupportedLoopError, match=message):
        lrscout.from_trainer(trainer)


def test_updates_during_the_backward_pass_are_refused() -> None:
    trainer, _ = made(bert, Sentences)
    trainer.args.optim = "lomo"
    with pytest.raises(UnsupportedLoopError, match='optim="lomo"'):
        lrscout.from_trainer(trainer)


def test_other_things_and_groups_are_refused() -> None:
    with pytest.raises(UnsupportedLoopError, match=r"must be a transformers\.Trainer, but it is a dict"):
        lrscout.from_trainer({})
    trainer, _ = made(bert, Sentences)
    with pytest.raises(InvalidValueError, match="group must be a number from 0 to 1"):
        lrscout.from_trainer(trainer, group=2)
    assert trainer.optimizer is None
    assert not trainer.is_in_train


def test_every_example_of_an_update_weighs_the_same_in_an_evaluation(tmp_path: Path) -> None:
    """Ten examples in batches of four, two batches an update: the last update has one batch, of two examples."""

    class Zero(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slope = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": (self.slope * x - labels).square().mean()}

    settings = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "report_to": "none"}
    arguments = TrainingArguments(tmp_path, learning_rate=0.01, optim="sgd", **settings)
    examples = [{"x": 1.0, "labels": float(number)} for number in range(10)]
    loop = lrscout.from_trainer(Trainer(Zero(), arguments, train_dataset=examples))
    assert loop.evaluate() == pytest.approx(sum(number**2 for number in range(10)) / 10, rel=1e-6)
