"""TensorFlow loops: variables, a loss, `GradientTape` inside and `tf.function` outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lrscout.core.checks import check_lr
from lrscout.core.errors import UnsupportedLoopError
from lrscout.core.imports import require
from lrscout.core.loop import Snapshot
from lrscout.loops.data import AtPlace, Data, as_batches
from lrscout.loops.loaders import generators_of
from lrscout.loops.tensorflow.graphs import check_one_number, hidden_generator, is_generator, is_tensorflow_generator
from lrscout.loops.tensorflow.landscape import TensorFlowLandscape
from lrscout.loops.tensorflow.pipelines import repeatable

tf = require("tensorflow", extra="tensorflow")


def from_tensorflow(
    variables: Any,
    optimizer: Any,
    loss_fn: Callable[[Any], Any],
    data: Any,
    *,
    lr: float | None = None,
    batch_size: int | None = None,
    eval_data: Any = None,
    eval_fn: Callable[[Any], Any] | None = None,
    stateful: Iterable[Any] = (),
) -> TensorFlowLoop:
    """Make a loop out of TensorFlow variables, an optimizer, a loss function and data.

    A step is one update; if the optimizer accumulates gradients, over as many batches as that takes.

    Every variable that the loss function touches comes home, whether it is trained or not: batch statistics, the
    states of `tf.random.Generator` and of Keras seed generators.

    Args:
        variables: the variables to train, or a `tf.Module`, of which the trainable ones are taken.
        optimizer: a Keras optimizer, or None for plain gradient descent at `lr`.
        loss_fn: takes a batch and returns the loss. It is traced once for each shape of batch.
        data: arrays or tensors (a tuple or a dictionary) of equal length, or an iterable of batches, such as a
            `tf.data.Dataset`. A data set that is shuffled anew at each pass is shuffled by seeds of the loop's own, so
            that your own passes see what they would have seen.
        lr: the learning rate that you would use; read off the optimizer if there is one.
        batch_size: examples in each batch of arrays; None makes all of them one batch.
        eval_data: arrays or batches for `evaluate`; by default four training batches.
        eval_fn: the loss in evaluation mode, a function of a batch; by default `loss_fn`.
        stateful: further variables that a step changes without the loss function reading or writing them.

    Returns:
        The loop.

    Raises:
        UnsupportedLoopError: there are no variables; a distribution strategy is in use; the optimizer does not run on
            TensorFlow; or (at the first use) the loss draws random numbers from a counter that TensorFlow hides.
        InvalidValueError: `lr` is not a finite number above zero, or the arrays do not fit together.

    >>> w = tf.Variable(1.0)
    >>> loop = from_tensorflow([w], None, lambda batch: w * w, [0.0], lr=0.25)
    >>> loop.step(0.25), loop.step(0.25)
    (1.0, 0.25)
    """
    if isinstance(variables, tf.Module):
        variables = variables.trainable_variables
    if not variables:
        raise UnsupportedLoopError("variables is empty. Give the variables to train.")
    if tf.distribute.has_strategy() or any(isinstance(v, tf.distribute.DistributedValues) for v in variables):
        raise UnsupportedLoopError(
            "Cannot scout under a tf.distribute strategy. Make variables, optimizer and loop outside its scope."
        )
    training, restartable = _passes(as_batches(data, batch_size))
    evaluation, _ = (None, True) if eval_data is None else _passes(as_batches(eval_data, None))
    update = _GradientDescent(variables, lr) if optimizer is None else _KerasUpdate(variables, optimizer)
    generators = generators_of([training, evaluation])
    batches = Data(training, evaluation, generators, restartable=restartable)
    return TensorFlowLoop(variables, update, loss_fn, eval_fn or loss_fn, batches, list(stateful))


def _passes(batches: Any) -> tuple[Any, bool]:
    return repeatable(batches) if isinstance(batches, tf.data.Dataset) else (batches, True)


class _GradientDescent:
    """The plain update `variable -= lr * gradient`."""

    def __init__(self, variables: Sequence[Any], lr: float | None) -> None:
        if lr is None:
            raise UnsupportedLoopError("Plain gradient descent needs the lr that you would use: give lr=.")
        self.lr = check_lr("lr", lr)
        self.variables: list[Any] = []
        self._trained = variables
        self._used = tf.Variable(self.lr, dtype=tf.float32, trainable=False)
        self.batches = 1

    def set_lr(self, lr: float) -> None:
        self._used.assign(lr)

    def scale(self, loss: Any) -> Any:
        return loss

    def apply(self, gradients: Sequence[Any]) -> None:
        for variable, gradient in zip(self._trained, gradients, strict=True):
            if gradient is not None:
                variable.assign_sub(tf.cast(self._used, variable.dtype) * gradient)

    def follow(self, gradients: Sequence[Any]) -> None:
        self.apply(gradients)


class _KerasUpdate:
    """The update of a Keras optimizer."""

    def __init__(self, variables: Sequence[Any], optimizer: Any) -> None:
        keras = require("keras", extra="tensorflow")
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            raise UnsupportedLoopError(
                f"optimizer must be a Keras optimizer, or None, but it is a {type(optimizer).__name__}."
            )
        if keras.backend.backend() != "tensorflow":
            raise UnsupportedLoopError(
                f"Cannot update TensorFlow variables because Keras runs on {keras.backend.backend()}. "
                "Set KERAS_BACKEND=tensorflow."
            )
        from lrscout.loops.keras.rate import KerasRate
        from lrscout.loops.keras.updates import KerasUpdates

        self._trained = variables
        self._optimizer = optimizer
        self._rate = KerasRate(optimizer)
        self.batches = self._rate.batches_for_an_update
        optimizer.build(variables)
        self.variables = [variable.value for variable in optimizer.variables]
        self._updates = KerasUpdates(optimizer, self._rate, variables)

    @property
    def lr(self) -> float:
        return self._rate.lr

    def set_lr(self, lr: float) -> None:
        self._rate.set(lr)

    def scale(self, loss: Any) -> Any:
        return self._optimizer.scale_loss(loss)

    def apply(self, gradients: Sequence[Any]) -> None:
        # This runs while the step is traced; the optimizer has its schedule again before anybody else sees it.
        with self._rate.taken_over():
            self._optimizer.apply(gradients, self._trained)

    def follow(self, gradients: Sequence[Any]) -> None:
        self._updates.follow(gradients)


@dataclass
class _Snapshot(AtPlace):
    """Tensors never change, so the values read off the variables are copies."""

    values: list[Any]


class TensorFlowLoop:
    """A TensorFlow loop; made by `from_tensorflow`."""

    def __init__(
        self,
        variables: Sequence[Any],
        update: _GradientDescent | _KerasUpdate,
        loss_fn: Callable[[Any], Any],
        eval_fn: Callable[[Any], Any],
        data: Data,
        state: list[Any],
    ) -> None:
        self._variables = list(variables)
        self._update = update
        self._loss_fn = loss_fn
        self._data = data
        self._state = [*variables, *state, *update.variables]

        def step(batch: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = loss_fn(batch)
                if not tf.is_tensor(loss):
                    return loss  # Refused when the trace is looked at; raised here, the error would be wrapped.
                scaled = update.scale(loss)
            update.apply(tape.gradient(scaled, variables))
            return loss

        self._step = tf.function(step, reduce_retracing=True)
        self._evaluate = tf.function(eval_fn, reduce_retracing=True)
        self._traced = self._evaluation_traced = False

    @property
    def lr(self) -> float:
        return self._update.lr

    def step(self, lr: float) -> float:
        self._trace()
        self._update.set_lr(lr)
        losses = [float(self._step(self._data.draw())) for _ in range(self._update.batches)]
        return losses[0] if len(losses) == 1 else sum(losses) / len(losses)

    def evaluate(self) -> float:
        self._trace()
        if not self._evaluation_traced:
            self._learn_variables(self._evaluate, self._data.peek_evaluation())
            self._evaluation_traced = True
        before = self._read()
        try:
            return self._data.mean_over_evaluation(lambda batch: float(self._evaluate(batch)))
        finally:
            self._write(before)

    def landscape(self, batches: int) -> TensorFlowLandscape:
        self._trace()
        names = [variable.name.partition(":")[0] for variable in self._variables]
        return TensorFlowLandscape(names, self._variables, self._loss_fn, self._data.ahead(batches), self._update)

    def evaluation_steps(self) -> float:
        return self._data.evaluation_steps()

    def snapshot(self) -> Snapshot:
        self._trace()
        return _Snapshot(self._data.place(), self._read())

    def restore(self, snapshot: Snapshot) -> None:
        assert isinstance(snapshot, _Snapshot)
        self._write(snapshot.values)
        self._data.return_to(snapshot.place)

    def reseed(self, seed: int) -> None:
        self._trace()
        self._data.reseed(seed)
        for index, variable in enumerate(self._state):
            _seed_if_generator(variable, seed + index)

    def _trace(self) -> None:
        """Trace the step once, without running it, to learn which variables it touches."""
        if self._traced:
            return
        self._learn_variables(self._step, self._data.peek())
        self._traced = True

    def _learn_variables(self, function: Any, batch: Any) -> None:
        traced = function.get_concrete_function(batch)
        check_one_number(traced.structured_outputs)
        _refuse_hidden_state(traced)
        known = {id(variable) for variable in self._state}
        self._state += [variable for variable in traced.graph.variables if id(variable) not in known]

    def _read(self) -> list[Any]:
        return [tf.identity(variable) for variable in self._state]

    def _write(self, values: list[Any]) -> None:
        # Variables that only the evaluation touches may have been learnt of since; evaluating changes nothing.
        for variable, value in zip(self._state, values, strict=False):
            variable.assign(value)


def _refuse_hidden_state(traced: Any) -> None:
    if drawn := hidden_generator(traced):
        raise UnsupportedLoopError(
            f"Cannot bring this loop home because the loss draws from {drawn}, whose counter TensorFlow keeps to "
            "itself. Draw from a tf.random.Generator or a keras.random.SeedGenerator instead."
        )


def _seed_if_generator(variable: Any, seed: int) -> None:
    """Start the state of a `tf.random.Generator` or of a Keras seed generator anew."""
    if is_tensorflow_generator(variable):
        algorithm = tf.random.Algorithm.PHILOX if variable.shape == (3,) else tf.random.Algorithm.THREEFRY
        variable.assign(tf.random.create_rng_state(seed, algorithm))
    elif is_generator(variable):
        variable.assign(tf.constant([seed, 0], variable.dtype))
