"""What TensorFlow loops do beyond coming home."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import lrscout
from lrscout.core.errors import EmptyDataError, LossError, UnsupportedLoopError
from lrscout.loops.tensorflow.pipelines import repeatable

X = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
Y = X.sum(1)


def squares(w):
    return lambda batch: tf.reduce_mean((tf.linalg.matvec(batch[0], w) - batch[1]) ** 2)


@pytest.mark.parametrize(
    "make", [lambda: keras.optimizers.Adam(0.03), lambda: keras.optimizers.SGD(0.03, momentum=0.9)]
)
def test_the_steps_are_the_optimizers_steps(make) -> None:
    w, optimizer = tf.Variable(tf.ones(3) / 2), make()
    for _ in range(5):
        with tf.GradientTape() as tape:
            loss = squares(w)((X, Y))
        optimizer.apply(tape.gradient(loss, [w]), [w])
    mine = tf.Variable(tf.ones(3) / 2)
    loop = lrscout.from_tensorflow([mine], make(), squares(mine), (X, Y))
    for _ in range(5):
        loop.step(loop.lr)
    np.testing.assert_allclose(mine.numpy(), w.numpy(), rtol=1e-5)


def test_a_schedule_is_taken_over_and_put_back() -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    w, optimizer = tf.Variable(tf.ones(3) / 2), keras.optimizers.SGD(schedule)
    loop = lrscout.from_tensorflow([w], optimizer, squares(w), (X, Y))
    before = w.numpy()
    loop.step(0.01)
    gradient = 2 * X.T @ (X @ before - Y) / 16
    np.testing.assert_allclose(w.numpy(), before - 0.01 * gradient, rtol=1e-4)
    assert optimizer._learning_rate is schedule


def test_a_number_is_put_back() -> None:
    w, optimizer = tf.Variable(tf.ones(3) / 2), keras.optimizers.SGD(0.05)
    lrscout.range_test(lrscout.from_tensorflow([w], optimizer, squares(w), (X, Y)), steps=9)
    assert float(optimizer.learning_rate) == pytest.approx(0.05)


def test_a_counter_that_tensorflow_hides_is_refused_and_named() -> None:
    w = tf.Variable(tf.ones(3))
    loop = lrscout.from_tensorflow([w], None, lambda b: tf.reduce_mean(tf.nn.dropout(w, 0.5)), [0.0], lr=0.1)
    with pytest.raises(UnsupportedLoopError, match=r"draws from RandomUniform .*tf.random.Generator"):
        lrscout.range_test(loop)


def test_a_counter_inside_a_branch_is_found_too() -> None:
    w = tf.Variable(1.0)

    def loss(batch):
        return tf.cond(w > 0, lambda: w * tf.random.normal([]), lambda: w)

    with pytest.raises(UnsupportedLoopError, match="RandomStandardNormal"):
        lrscout.from_tensorflow([w], None, loss, [0.0], lr=0.1).step(0.1)


def test_a_loss_that_is_a_vector() -> None:
    w = tf.Variable(tf.ones(3))
    loop = lrscout.from_tensorflow([w], None, lambda b: tf.linalg.matvec(b[0], w) - b[1], (X, Y), lr=0.1)
    with pytest.raises(LossError, match=r"tensor of shape \(16,\)"):
        lrscout.range_test(loop)


def test_loops_that_cannot_be_made() -> None:
    w = tf.Variable(tf.ones(3))
    with pytest.raises(UnsupportedLoopError, match="variables is empty"):
        lrscout.from_tensorflow([], None, squares(w), (X, Y), lr=0.1)
    with pytest.raises(UnsupportedLoopError, match="needs the lr"):
        lrscout.from_tensorflow([w], None, squares(w), (X, Y))
    with pytest.raises(UnsupportedLoopError, match="must be a Keras optimizer"):
        lrscout.from_tensorflow([w], "adam", squares(w), (X, Y))
    with (
        tf.distribute.OneDeviceStrategy("cpu:0").scope(),
        pytest.raises(UnsupportedLoopError, match="outside its scope"),
    ):
        lrscout.from_tensorflow([w], None, squares(w), (X, Y), lr=0.1)
    with tf.distribute.MirroredStrategy(["cpu:0"]).scope():
        mirrored = tf.Variable(tf.ones(3))
    with pytest.raises(UnsupportedLoopError, match="outside its scope"):
        lrscout.from_tensorflow([mirrored], None, squares(mirrored), (X, Y), lr=0.1)
    with pytest.raises(EmptyDataError):
        lrscout.range_test(lrscout.from_tensorflow([w], None, squares(w), [], lr=0.1))


def test_evaluation_batches_of_unequal_size_are_weighted() -> None:
    w = tf.Variable(tf.ones(3) / 2)
    unequal = [(X[:3], Y[:3]), (X[3:], Y[3:])]
    loop = lrscout.from_tensorflow([w], None, squares(w), (X, Y), lr=0.1, batch_size=4, eval_data=unequal)
    assert loop.evaluate() == pytest.approx(np.mean((X @ w.numpy() - Y) ** 2), rel=1e-5)


def test_a_module_trains_its_trainable_variables() -> None:
    class Line(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slope = tf.Variable(tf.ones(3) / 2)
            self.calls = tf.Variable(0.0, trainable=False)

        def __call__(self, x):
            self.calls.assign_add(1.0)
            return tf.linalg.matvec(x, self.slope)

    line = Line()
    loop = lrscout.from_tensorflow(line, None, lambda b: tf.reduce_mean((line(b[0]) - b[1]) ** 2), (X, Y), lr=0.1)
    before = line.slope.numpy()
    loop.step(0.1)
    gradient = 2 * X.T @ (X @ before - Y) / 16
    np.testing.assert_allclose(line.slope.numpy(), before - 0.1 * gradient, rtol=1e-4)
    lrscout.range_test(loop)
    assert line.calls.numpy() == 1


PIPELINES = {
    "shuffled": lambda: tf.data.Dataset.range(12).shuffle(12),
    "seeded": lambda: tf.data.Dataset.range(12).shuffle(12, seed=3).map(lambda number: number * 2),
    "cached": lambda: tf.data.Dataset.range(12).cache().shuffle(12, seed=3).repeat(2).prefetch(2),
    "a cache of a shuffle": lambda: tf.data.Dataset.range(12).shuffle(12, seed=3).cache(),
    "always one order": lambda: tf.data.Dataset.range(12).shuffle(12, seed=3, reshuffle_each_iteration=False),
    "a generator": lambda: tf.data.Dataset.from_generator(
        lambda: iter(range(12)), output_signature=tf.TensorSpec((), tf.int64)
    ).shuffle(12),
    "numbers drawn anew": lambda: tf.data.Dataset.random(seed=3, rerandomize_each_iteration=True).take(12),
}


def in_order(batches) -> list[int]:
    return [int(number) for number in batches]


def check_the_users_passes(make) -> tuple[list[list[int]], list[list[int]], bool]:
    """Assert that our passes change nothing in the user's; return two of each, and whether ours restart."""
    tf.random.set_seed(0)
    pipeline = make()
    expected = [in_order(pipeline), in_order(pipeline)]
    tf.random.set_seed(0)
    pipeline = make()
    passes, restartable = repeatable(pipeline)
    ours = [in_order(passes), in_order(passes)]
    assert [in_order(pipeline), in_order(pipeline)] == expected
    return ours, expected, restartable


@pytest.mark.parametrize("make", PIPELINES.values(), ids=PIPELINES)
def test_passes_over_a_pipeline_leave_the_users_own_passes_alone(make) -> None:
    (first, second), expected, restartable = check_the_users_passes(make)
    assert restartable
    if make is not PIPELINES["numbers drawn anew"]:
        assert sorted(first) == sorted(second) == sorted(expected[0])
    assert (first == second) == (make is PIPELINES["always one order"])


def test_the_repeats_of_a_shuffled_pipeline_see_other_orders() -> None:
    w = tf.Variable(tf.ones(3) / 2)
    data = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(16).batch(4)
    test = lrscout.range_test(lrscout.from_tensorflow([w], None, squares(w), data, lr=0.1), repeats=2)
    assert not np.array_equal(test.curves[0].losses[:4], test.curves[1].losses[:4])


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("written", [False, True], ids=["to be written", "written"])
def test_a_cache_in_a_file_is_the_users_to_write(tmp_path, shuffled: bool, written: bool) -> None:
    numbers = tf.data.Dataset.range(12)
    pipeline = (numbers.shuffle(12, seed=3) if shuffled else numbers).cache(str(tmp_path / "cache"))
    if written:
        in_order(pipeline)
    before = sorted(path.name for path in tmp_path.iterdir())
    ours, restartable = repeatable(pipeline)
    assert restartable
    opened = [iter(ours), iter(ours)]
    assert [sorted(in_order(batches)) for batches in opened] == [list(range(12))] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert sorted(in_order(pipeline)) == list(range(12))


def test_a_large_pipeline_is_copied_once_and_leaves_the_users_passes_alone() -> None:
    numbers = np.arange(5_000_000)
    (first, second), _, restartable = check_the_users_passes(
        lambda: tf.data.Dataset.from_tensor_slices(numbers).shuffle(100, seed=3).take(12)
    )
    assert not restartable
    assert first != second


def test_a_function_as_lr_a_scaled_loss_and_accumulated_gradients() -> None:
    gradient = 2 * X.T @ (X @ np.full(3, 0.5, np.float32) - Y) / 16
    optimizers = {
        "function": keras.optimizers.SGD(lambda: 0.1),
        "scaled": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=64.0),
        "accumulated": keras.optimizers.SGD(0.1, gradient_accumulation_steps=4),
    }
    for name, optimizer in optimizers.items():
        w = tf.Variable(tf.ones(3) / 2)
        quarters = [(X[start : start + 4], Y[start : start + 4]) for start in range(0, 16, 4)]
        loop = lrscout.from_tensorflow([w], optimizer, squares(w), quarters if name == "accumulated" else [(X, Y)])
        loop.step(0.01)
        np.testing.assert_allclose(w.numpy(), 0.5 - 0.01 * gradient, rtol=1e-4, err_msg=name)
