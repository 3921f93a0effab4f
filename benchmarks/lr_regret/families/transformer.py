"""A small transformer that reads text, character by character."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.lr_regret.families.data import cross_entropy, normal, text
from benchmarks.lr_regret.task import Problem, Task

_SYMBOLS, _WIDTH, _HEADS, _CONTEXT, _BLOCKS = 64, 16, 2, 16, 2


def _normalized(values: Any, scale: Any) -> Any:
    centred = values - values.mean(axis=-1, keepdims=True)
    return scale * centred / jnp.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)


def _attended(values: Any, queries_keys_values: Any, output: Any) -> Any:
    count, length, width = values.shape
    parts = (values @ queries_keys_values).reshape(count, length, 3, _HEADS, width // _HEADS)
    queries, keys, contents = parts[:, :, 0], parts[:, :, 1], parts[:, :, 2]
    scores = jnp.einsum("nqhd,nkhd->nhqk", queries, keys) / np.sqrt(width // _HEADS)
    seen = np.tril(np.ones((length, length), bool))
    weights = jax.nn.softmax(jnp.where(seen, scores, -1e9), axis=-1)
    return jnp.einsum("nhqk,nkhd->nqhd", weights, contents).reshape(count, length, width) @ output


def loss(params: Any, batch: Any) -> Any:
    """Return the cross-entropy of each next character."""
    (symbols,) = batch
    inputs, targets = symbols[:, :-1], symbols[:, 1:]
    values = jnp.take(params["symbols"], inputs, axis=0) + params["places"]
    for block in params["blocks"]:
        values = values + _attended(_normalized(values, block["scale"]), block["attention"], block["output"])
        hidden = jax.nn.gelu(_normalized(values, block["scale of units"]) @ block["in"])
        values = values + hidden @ block["out"]
    return cross_entropy(_normalized(values, params["scale"]) @ params["logits"], targets)


def transformer(generator: np.random.Generator) -> Problem:
    """Two blocks of attention and units, normalized before each."""
    symbols = text()
    windows = np.lib.stride_tricks.sliding_window_view(symbols, _CONTEXT + 1)[:: _CONTEXT // 2]
    cut = len(windows) * 9 // 10
    held_out = windows[cut:][generator.permutation(len(windows) - cut)[:256]]

    def matrix(before: int, after: int) -> np.ndarray:
        return normal(generator, (before, after), 1 / before)

    def block() -> dict[str, np.ndarray]:
        return {
            "attention": matrix(_WIDTH, 3 * _WIDTH),
            "output": matrix(_WIDTH, _WIDTH) / np.float32(2),
            "in": matrix(_WIDTH, 4 * _WIDTH),
            "out": matrix(4 * _WIDTH, _WIDTH) / np.float32(2),
            "scale": np.ones(_WIDTH, np.float32),
            "scale of units": np.ones(_WIDTH, np.float32),
        }

    params = {
        "symbols": normal(generator, (_SYMBOLS, _WIDTH), 1.0),
        "places": normal(generator, (_CONTEXT, _WIDTH), 0.1),
        "blocks": [block() for _ in range(_BLOCKS)],
        "scale": np.ones(_WIDTH, np.float32),
        "logits": matrix(_WIDTH, _SYMBOLS) / np.float32(4),
    }
    return Problem(params, loss, (windows[:cut].copy(),), (held_out.copy(),))


TRANSFORMER = [Task("transformer", "text", "AdamW", transformer, 16)]
