"""Hugging Face trainers with everything that has been forgotten by one tool or another."""

from __future__ import annotations

import random
import tempfile
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback

import lrscout
from tests.battery import Case, Part, numpy_generator, python_generator, stream_place
from tests.loops.cases_torch import module_parts

# Older versions know it by its old name alone.
RECOMPUTED = next(
    name for name in ("activation_checkpointing", "gradient_checkpointing") if name in vars(TrainingArguments)
)
WORDS = 16
GENTLE = {"min_lr": 1e-4, "max_lr": 2e-2, "steps": 20}


class Sentences(Dataset):
    """Sentences of numbers, whose class is whether the first is large; words are left out at random on the way."""

    def __init__(self, length: int = 22, noise: bool = True) -> None:
        generator = torch.Generator().manual_seed(1)
        self.words = torch.randint(1, WORDS, (length, 6), generator=generator)
        self.noise = noise
        self.reads = 0

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index: int) -> dict[str, Any]:
        self.reads += 1
        words = self.words[index].clone()
        if self.noise:
            words[random.randrange(1, 6)] = int(np.random.randint(1, WORDS))
        return {"input_ids": words, "labels": int(self.words[index, 0] >= WORDS // 2)}


class Texts(IterableDataset):
    """Endless arithmetic on numbers, another in each pass, with padding that is not counted."""

    def __init__(self) -> None:
        self.passes = 0

    def __iter__(self):
        self.passes += 1
        generator = torch.Generator().manual_seed(self.passes)
        for _ in range(14):
            start, stride = torch.randint(0, WORDS, (2,), generator=generator).tolist()
            words = (start + stride * torch.arange(8)) % WORDS
            labels = words.clone()
            labels[int(torch.randint(4, 8, (1,), generator=generator)) :] = -100
            yield {"input_ids": words, "labels": labels}


class Recorder(TrainerCallback):
    """Keeps the losses that the trainer logs."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_log(self, args, state, control, logs=None, **others) -> None:
        if "loss" in logs:
            self.losses.append(logs["loss"])


class RememberingTrainer(Trainer):
    """A trainer whose own loss keeps state: a count, a running mean, and a list."""

    def __init__(self, *others: Any, **named: Any) -> None:
        super().__init__(*others, **named)
        self.calls = 0
        self.mean = torch.zeros(())
        self.seen: list[int] = []

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        self.calls += 1
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        loss = loss * (1 + 1e-5 * self.calls + 1e-5 * self.state.global_step)
        if model.training:
            self.mean = 0.9 * self.mean + 0.1 * loss.detach()
            self.seen.append(self.calls)
            loss = loss + 1e-5 * self.mean + 1e-5 * len(self.seen)
        self.log({"calls": self.calls})
        return (loss, outputs) if return_outputs else loss


def bert(dropout: float = 0.1) -> BertForSequenceClassification:
    config = BertConfig(
        vocab_size=WORDS,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=8,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        pad_token_id=None,
    )
    return BertForSequenceClassification(config)


def gpt2() -> GPT2LMHeadModel:
    config = GPT2Config(
        vocab_size=WORDS, n_positions=8, n_embd=8, n_layer=1, n_head=2, bos_token_id=None, eos_token_id=None
    )
    return GPT2LMHeadModel(config)


def arguments(**settings: Any) -> TrainingArguments:
    plain = {
        "output_dir": tempfile.gettempdir(),
        "per_device_train_batch_size": 4,
        "learning_rate": 0.01,
        "lr_scheduler_type": "constant",
        "max_steps": 1000,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    return TrainingArguments(**{**plain, **settings})


def trainer_of(
    model: nn.Module | None, data: Any, kind: type[Trainer] = Trainer, settings: Any = None, **others: Any
) -> tuple[Trainer, Any]:
    """Return a trainer that prints nothing, and a function that trains it for some steps and returns their losses."""
    recorder = Recorder()
    trainer = kind(model, arguments(**(settings or {})), train_dataset=data, callbacks=[recorder], **others)
    trainer.remove_callback(PrinterCallback)

    def train(steps: int) -> list[float]:
        trainer.args.max_steps = steps
        recorder.losses.clear()
        trainer.train()
        return list(recorder.losses)

    return trainer, train


def trainer_parts(trainer: Trainer, loop: Any) -> dict[str, Part]:
    """The parts of a trainer's state that a step through the loop changes."""

    def optimizer() -> torch.optim.Optimizer:
        with loop._visit():
            return trainer.optimizer.optimizer

    live = _Follows(optimizer)
    parts = module_parts(trainer.model, live) | {"place": stream_place(loop)}
    parts.pop("buffers", None)  # They number the positions and never change.
    return parts


class _Follows:
    """The optimizer that the trainer has by now, or else the loop's own."""

    def __init__(self, find) -> None:
        self._find = find

    def __getattr__(self, name: str) -> Any:
        return getattr(self._find(), name)


def attribute(owner: object, name: str) -> Part:
    return Part(lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


def everything() -> Case:
    """AdamW, accumulation, clipping, dropout, data that draw at random, and a trainer that keeps state of its own."""
    torch.manual_seed(0)
    data = Sentences()
    settings = {"gradient_accumulation_steps": 2, "weight_decay": 0.1}
    trainer, train = trainer_of(bert(), data, RememberingTrainer, settings)
    random.seed(0)
    np.random.seed(0)
    loop = lrscout.from_trainer(trainer)
    parts = trainer_parts(trainer, loop) | {
        "calls": attribute(trainer, "calls"),
        "reads": attribute(data, "reads"),
        "epoch": attribute(loop._source, "_epoch"),
        "global step": attribute(loop._roots[1], "global_step"),
        "mean": Part(
            lambda: trainer.mean.numpy().copy(), lambda mean: setattr(trainer, "mean", torch.from_numpy(mean))
        ),
        "seen": Part(lambda: list(trainer.seen), lambda seen: trainer.seen.__setitem__(slice(None), seen)),
        "python generator": python_generator(),
        "numpy generator": numpy_generator(),
    }
    return Case(loop, parts, train, GENTLE)


def language() -> Case:
    """Endless text with padding, noise on the embeddings, smoothed labels, momentum, and evaluation data."""
    torch.manual_seed(0)
    data = Texts()
    settings = {
        "gradient_accumulation_steps": 2,
        "optim": "sgd",
        "optim_args": "momentum=0.9",
        "neftune_noise_alpha": 5.0,
        "label_smoothing_factor": 0.1,
        "lr_scheduler_type": "linear",
        "warmup_steps": 2,
    }
    held_out = [{"input_ids": torch.arange(8), "labels": torch.arange(8)}] * 3
    trainer, train = trainer_of(gpt2(), data, settings=settings, eval_dataset={"a": held_out, "b": held_out[:2]})
    loop = lrscout.from_trainer(trainer)
    parts = trainer_parts(trainer, loop) | {"passes": attribute(data, "passes")}
    return Case(loop, parts, train, GENTLE)


def own_optimizer() -> Case:
    """An optimizer and a scheduler of the user's own, two groups, half precision, recomputed activations."""
    torch.manual_seed(0)
    model = bert()
    optimizer = torch.optim.Adam(
        [
            {"params": model.bert.parameters(), "lr": 1e-3, "name": "body"},
            {"params": model.classifier.parameters(), "lr": 1e-2, "name": "head"},
        ]
    )
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    settings = {"bf16": True, "use_cpu": True, RECOMPUTED: True}
    others = {"settings": settings, "optimizers": (optimizer, scheduler)}
    trainer, train = trainer_of(model, Sentences(noise=False), **others)
    loop = lrscout.from_trainer(trainer, group="head")
    return Case(loop, trainer_parts(trainer, loop), train, GENTLE)


def scaled() -> Case:
    """RMSprop behind a gradient scaler whose scale changes as it goes."""
    torch.manual_seed(0)
    settings = {"optim": "rmsprop", "max_grad_norm": 0.0}
    trainer, train = trainer_of(bert(), Sentences(noise=False), settings=settings)
    scaler = trainer.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=3)
    loop = lrscout.from_trainer(trainer)
    parts = trainer_parts(trainer, loop) | {"scaler": Part(scaler.state_dict, scaler.load_state_dict)}
    return Case(loop, parts, train, GENTLE)


CASES = {case.__name__: case for case in (everything, language, own_optimizer, scaled)}
