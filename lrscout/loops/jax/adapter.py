"""JAX loops, updated by optax."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lrscout.core.checks import check_count, check_lr
from lrscout.core.errors import LossError, UnsupportedLoopError
from lrscout.core.imports import require
from lrscout.core.loop import Snapshot
from lrscout.loops.data import AtPlace, Data, as_batches
from lrscout.loops.jax.fleet import JaxFleet, LaneProgram
from lrscout.loops.jax.landscape import JaxLandscape, LandscapeProgram
from lrscout.loops.loaders import generators_of

jax = require("jax", extra="jax")
optax = require("optax", extra="jax")

_SEED_OF_LANDSCAPES = 0


def from_jax(
    params: Any,
    optimizer: Any,
    loss_fn: Callable[..., Any],
    data: Any,
    *,
    lr: float | None = None,
    batch_size: int | None = None,
    eval_data: Any = None,
    eval_fn: Callable[..., Any] | None = None,
    opt_state: Any = None,
    state: Any = None,
    key: Any = None,
) -> JaxLoop:
    """Make a loop out of JAX parameters, an optax optimizer, a loss function and data.

    Args:
        params: the parameters, any pytree.
        optimizer: one of three. A function of the learning rate, such as ``optax.adam`` or
            ``lambda lr: optax.chain(optax.clip(1.0), optax.adamw(lr))``, together with `lr`. Or an optimizer made by
            ``optax.inject_hyperparams``, whose ``learning_rate`` is set. Or a ready optimizer such as
            ``optax.adam(1e-3)`` together with the `lr` that it was made with: its updates are scaled, which is exact
            where the learning rate multiplies the update last, as in SGD, momentum, Adam, AdamW and Lion.
        loss_fn: takes the parameters and a batch, and returns the loss. With `key` it is also given ``key=``, a
            fresh random key each step; with `state` it is also given ``state=`` and returns ``(loss, new_state)``.
        data: arrays (a tuple or a dictionary) of equal length, or an iterable of batches.
        lr: the learning rate that you would use.
        batch_size: examples in each batch of arrays; None makes all of them one batch.
        eval_data: arrays or batches for `evaluate`; by default four training batches.
        eval_fn: the loss in evaluation mode, a function of the parameters and a batch, and of ``state=`` if there is
            one. By default `loss_fn`, unless that takes a key or a state.
        opt_state: the optimizer's state in mid-training; by default a new one.
        state: whatever else a step changes, such as batch statistics; any pytree.
        key: a random key, if `loss_fn` draws random numbers.

    Returns:
        The loop. Its `params`, `opt_state` and `state` are those after the steps taken so far; the values that were
        given are not changed.

    Raises:
        UnsupportedLoopError: the learning rate of the optimizer cannot be set.
        InvalidValueError: `lr` is not a finite number above zero, or the arrays do not fit together.

    >>> import jax.numpy as jnp, optax
    >>> loop = from_jax(jnp.array(1.0), optax.sgd, lambda w, batch: w**2, [None], lr=0.25)
    >>> loop.step(0.25), loop.step(0.25)
    (1.0, 0.25)
    """
    rate = _Rate.of(optimizer, params, opt_state, lr)
    training = as_batches(data, batch_size)
    evaluation = None if eval_data is None else as_batches(eval_data, None)
    if eval_fn is None and key is None and state is None:
        eval_fn = loss_fn
    return JaxLoop(
        params,
        rate.init(params) if opt_state is None else opt_state,
        state,
        key,
        rate,
        loss_fn,
        eval_fn,
        Data(training, evaluation, generators_of([training, evaluation])),
    )


@dataclass
class _Snapshot(AtPlace):
    """JAX arrays never change, so holding on to them is a copy."""

    values: tuple[Any, Any, Any, Any]


class JaxLoop:
    """A JAX loop; made by `from_jax`."""

    def __init__(
        self,
        params: Any,
        opt_state: Any,
        state: Any,
        key: Any,
        rate: _Rate,
        loss_fn: Callable[..., Any],
        eval_fn: Callable[..., Any] | None,
        data: Data,
    ) -> None:
        self.params = params
        self.opt_state = opt_state
        self.state = state
        self._key = key
        self._rate = rate
        self._data = data
        self._loss_and_state = _loss_and_state_of(loss_fn, has_state=state is not None, has_key=key is not None)
        self._pure_step = _step_of(self._loss_and_state, rate, has_key=key is not None)
        self._eval_fn = eval_fn
        self._jitted_step = jax.jit(self._pure_step)
        self._jitted_evaluate = None if eval_fn is None else jax.jit(eval_fn)

    @property
    def lr(self) -> float:
        return self._rate.current(self.opt_state)

    def step(self, lr: float) -> float:
        batch = self._data.draw()
        loss, self.params, self.opt_state, self.state, self._key = self._jitted_step(
            self.params, self.opt_state, self.state, self._key, batch, lr
        )
        return float(loss)

    def evaluate(self) -> float:
        evaluate = self._jitted_evaluate
        if evaluate is None:
            raise UnsupportedLoopError(
                "Cannot evaluate because loss_fn takes a key or a state, so its evaluation mode is not known. "
                "Give eval_fn(params, batch)."
            )
        return self._data.mean_over_evaluation(
            lambda batch: _number(evaluate(self.params, batch, **_state_argument(self.state)))
        )

    def fleet(self, size: int, steps: int) -> JaxFleet:
        return JaxFleet(
            self._program,
            (self.params, self.opt_state, self.state),
            self._key,
            self._data.draw,
            self._data.mean_over_evaluation,
            size=size,
            steps=steps,
        )

    def lane_bytes(self) -> int:
        return self._lane_bytes

    @cached_property
    def _lane_bytes(self) -> int:
        # The shapes stay what they are, and tracing a step takes longer than many a step.
        lane, batch = (self.params, self.opt_state, self.state), self._data.peek()
        self._program.check(lane, self._key, batch)
        return self._program.lane_bytes(lane, self._key, batch)

    @cached_property
    def _program(self) -> LaneProgram:
        def step(lane: Any, key: Any, batch: Any, lr: Any) -> tuple[Any, Any, Any]:
            loss, *lane, key = self._pure_step(*lane, key, batch, lr)
            return loss, tuple(lane), key

        def evaluate(lane: Any, batch: Any) -> Any:
            params, _, state = lane
            assert self._eval_fn is not None
            return self._eval_fn(params, batch, **_state_argument(state))

        return LaneProgram(step, None if self._eval_fn is None else evaluate)

    def landscape(self, batches: int) -> JaxLandscape:
        key = None if self._key is None else _new_key(_SEED_OF_LANDSCAPES, like=self._key)
        ahead = self._data.ahead(check_count("batches", batches, at_least=1))
        return JaxLandscape(self._landscape_program, lambda: (self.params, self.opt_state, self.state), ahead, key)

    @cached_property
    def _landscape_program(self) -> LandscapeProgram:
        def loss(params: Any, state: Any, key: Any, batch: Any) -> Any:
            # What is random is left out where that can be: a loss that takes a key may have an evaluation mode.
            if key is not None and self._eval_fn is not None:
                value = self._eval_fn(params, batch, **_state_argument(state))
                _check_one_number(value)
                return value
            value, _ = self._loss_and_state(params, state, key, batch)
            return value

        return LandscapeProgram(loss, self._rate.update, self.params)

    def evaluation_steps(self) -> float:
        return self._data.evaluation_steps()

    def snapshot(self) -> Snapshot:
        return _Snapshot(self._data.place(), (self.params, self.opt_state, self.state, self._key))

    def restore(self, snapshot: Snapshot) -> None:
        assert isinstance(snapshot, _Snapshot)
        self.params, self.opt_state, self.state, self._key = snapshot.values
        self._data.return_to(snapshot.place)

    def reseed(self, seed: int) -> None:
        if self._key is not None:
            self._key = _new_key(seed, like=self._key)
        self._data.reseed(seed)


def _loss_and_state_of(loss_fn: Callable[..., Any], *, has_state: bool, has_key: bool) -> Callable[..., Any]:
    """Return the loss with the new state, as a pure function."""

    def loss_and_state(params: Any, state: Any, key: Any, batch: Any) -> tuple[Any, Any]:
        extras = {"key": key} if has_key else {}
        returned = loss_fn(params, batch, **extras, **_state_argument(state))
        loss, new_state = returned if has_state else (returned, state)
        _check_one_number(loss)
        return loss, new_state

    return loss_and_state


def _step_of(loss_and_state: Callable[..., Any], rate: _Rate, *, has_key: bool) -> Callable[..., Any]:
    """Return one whole step as a pure function."""

    def step(params: Any, opt_state: Any, state: Any, key: Any, batch: Any, lr: Any) -> tuple[Any, ...]:
        key, key_of_step = jax.random.split(key) if has_key else (None, None)
        differentiated = jax.value_and_grad(loss_and_state, has_aux=True)
        (loss, state), gradients = differentiated(params, state, key_of_step, batch)
        updates, opt_state = rate.update(gradients, opt_state, params, lr, loss)
        return loss, optax.apply_updates(params, updates), opt_state, state, key

    return step


def _state_argument(state: Any) -> dict[str, Any]:
    return {} if state is None else {"state": state}


@dataclass(frozen=True)
class _Rate:
    """The one place that knows how an optimizer takes its learning rate.

    Args:
        init: makes the optimizer's state.
        update: gradients, state, parameters, lr and loss to updates and state.
        current: reads the lr that the user set off the state.
    """

    init: Callable[[Any], Any]
    update: Callable[[Any, Any, Any, Any, Any], tuple[Any, Any]]
    current: Callable[[Any], float]

    @classmethod
    def of(cls, optimizer: Any, params: Any, opt_state: Any, lr: float | None) -> _Rate:
        """Choose among a function of the lr, an injected lr, and a ready optimizer."""
        if isinstance(optimizer, optax.GradientTransformation):
            state = jax.eval_shape(optimizer.init, params) if opt_state is None else opt_state
            if _injected_rates(state):
                return cls._injected(optimizer, state)
            return cls._scaled(optimizer, state, lr)
        if not callable(optimizer):
            raise UnsupportedLoopError(
                f"optimizer must be an optax optimizer or a function of the lr, but it is a {type(optimizer).__name__}."
            )
        if lr is None:
            raise UnsupportedLoopError("A function of the learning rate needs the lr that you would use: give lr=.")
        checked = check_lr("lr", lr)
        made: Any = optimizer(checked)
        state = jax.eval_shape(made.init, params)
        if _injected_rates(state) or _follows_schedule(state):
            raise UnsupportedLoopError(
                "The function of the learning rate makes an optimizer that keeps its rate in its state, or follows a "
                "schedule, and so would not use the rate that it is given. Give optax.adam and its kin themselves."
            )
        return cls(
            made.init,
            lambda gradients, state, params, lr, loss: _update(optimizer(lr), gradients, state, params, loss),
            lambda state: checked,
        )

    @classmethod
    def _injected(cls, optimizer: Any, shape: Any) -> _Rate:
        rates = _injected_rates(shape)
        if any("hyperparams_states" in jax.tree_util.keystr(path) for path, _ in rates):
            raise UnsupportedLoopError(
                "Cannot set the learning rate because it is a schedule, which sets it anew at every step. "
                "Inject a number: optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)."
            )
        if len(rates) > 1:
            raise UnsupportedLoopError(
                f"Cannot set the learning rate because the optimizer has {len(rates)} of them. Give a function of one "
                "lr that sets them all, such as lambda lr: optax.multi_transform({...: optax.sgd(lr), ...}, ...)."
            )

        def update(gradients: Any, state: Any, params: Any, lr: Any, loss: Any) -> tuple[Any, Any]:
            kind = optax.tree_utils.tree_get(state, "learning_rate")
            lr = jax.numpy.asarray(lr, dtype=kind.dtype)
            return _update(optimizer, gradients, optax.tree_utils.tree_set(state, learning_rate=lr), params, loss)

        return cls(optimizer.init, update, lambda state: float(optax.tree_utils.tree_get(state, "learning_rate")))

    @classmethod
    def _scaled(cls, optimizer: Any, shape: Any, lr: float | None) -> _Rate:
        if lr is None:
            raise UnsupportedLoopError(
                "Cannot read the learning rate of a ready optax optimizer. Give the lr that it was made with "
                "(lr=1e-3), or give a function of the lr (optimizer=optax.adam, lr=1e-3)."
            )
        if _follows_schedule(shape):
            raise UnsupportedLoopError(
                "Cannot set the learning rate because this optimizer follows a schedule of its own. "
                "Give a function of the lr instead: optimizer=optax.adam, lr=1e-3."
            )
        made_with = check_lr("lr", lr)

        def update(gradients: Any, state: Any, params: Any, lr: Any, loss: Any) -> tuple[Any, Any]:
            updates, state = _update(optimizer, gradients, state, params, loss)
            return optax.tree_utils.tree_scale(lr / made_with, updates), state

        return cls(optimizer.init, update, lambda state: made_with)


def _update(optimizer: Any, gradients: Any, state: Any, params: Any, loss: Any) -> tuple[Any, Any]:
    # Some transformations, such as reduce_on_plateau, read the loss.
    return optax.with_extra_args_support(optimizer).update(gradients, state, params, value=loss)


def _check_one_number(loss: Any) -> None:
    if isinstance(loss, (tuple, list, dict)):
        raise LossError("The loss must be one number, but it is a container; only with state= is a second value taken.")
    if jax.numpy.shape(loss) != ():
        raise LossError(
            f"The loss must be one number, but it is an array of shape {jax.numpy.shape(loss)}. "
            "Reduce it, for example with .mean()."
        )


def _number(loss: Any) -> float:
    _check_one_number(loss)
    return float(loss)


def _injected_rates(state: Any) -> list[tuple[Any, Any]]:
    """Return the learning rates that stand in an optimizer's state, with their paths."""
    return list(optax.tree_utils.tree_get_all_with_path(state, "learning_rate"))


def _follows_schedule(state: Any) -> bool:
    def is_schedule(node: Any) -> bool:
        return isinstance(node, optax.ScaleByScheduleState)

    return any(is_schedule(node) for node in jax.tree.leaves(state, is_leaf=is_schedule))


def _new_key(seed: int, like: Any) -> Any:
    """Return a key of the same kind, typed or raw, as another."""
    if jax.numpy.issubdtype(like.dtype, jax.dtypes.prng_key):
        return jax.random.key(seed, impl=jax.random.key_impl(like))
    return jax.random.PRNGKey(seed)
