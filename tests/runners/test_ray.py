"""Sweeps on a real Ray cluster: several nodes on this machine."""

from __future__ import annotations

import os
import signal
import warnings

import numpy as np
import pytest
from filelock import FileLock

import lrscout
from lrscout.core.errors import InvalidValueError, RunnerError
from lrscout.core.progress import Bar
from lrscout.core.source import Factory
from lrscout.runners import Ray
from lrscout.runners.plan import Run, blocks_of
from tests.problems import quadratic_loop

ray = pytest.importorskip("ray")
LRS = np.geomspace(1e-4, 10, 24)

# Nodes are processes that are forked from here, which JAX, where it is loaded, warns of.
pytestmark = [
    pytest.mark.filterwarnings("ignore:os.fork"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    from ray.cluster_utils import Cluster

    # One cluster at a time, however many processes share the tests.
    with FileLock(tmp_path_factory.getbasetemp().parent / "ray.lock"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray has warnings of its own about the small machines that tests run on.
            cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
            for _ in range(2):
                cluster.add_node(num_cpus=1)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def dies():
    os.kill(os.getpid(), signal.SIGKILL)


def runs_out_of_memory():
    raise MemoryError


def raises():
    def step(lr):
        raise ValueError("the third layer is tired")

    return lrscout.from_functions(step, lambda: None, lambda _: None, lr=0.1)


def dies_once(folder: str):
    def make():
        flag = os.path.join(folder, "died")
        if not os.path.exists(flag):
            open(flag, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return quadratic_loop()

    return make


def test_a_cluster_gives_the_numbers_of_one_machine(cluster) -> None:
    here = lrscout.sweep("lrscout.examples:digits", LRS, 100)
    there = lrscout.sweep("lrscout.examples:digits", LRS, 100, runner=Ray(cluster.address))
    assert there.runner == "ray"
    assert there.notes == ()
    np.testing.assert_allclose(there.loss, here.loss, rtol=1e-6)
    assert (there.outcomes == here.outcomes).all()
    assert not ray.is_initialized()


def test_a_node_that_goes_away_in_the_middle_leaves_nothing_missing(cluster) -> None:
    others = [cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)]
    source = Factory("lrscout.examples:digits")
    plan = [Run(np.full(60, lr)) for lr in LRS]
    blocks = blocks_of(plan, 1)
    done = {}
    for block, curves in Ray(cluster.address, lanes_per_task=1).run(source, blocks, Bar(None, 0, "")):
        if not done:  # On one machine the driver may sit on any of its nodes.
            own = ray.get_runtime_context().get_node_id()
            cluster.remove_node(next(node for node in others if node.node_id != own), allow_graceful=False)
        done[block.index] = curves
    assert sorted(done) == list(range(len(LRS)))
    np.testing.assert_array_equal([done[index][0].lrs[0] for index in range(len(LRS))], LRS)


def test_a_worker_that_dies_is_replaced(cluster, tmp_path) -> None:
    lr_map = lrscout.sweep(dies_once(str(tmp_path)), [0.1, 0.2], 10, loss="training", runner=Ray(cluster.address))
    expected = lrscout.sweep(quadratic_loop(), [0.1, 0.2], 10, loss="training")
    assert (tmp_path / "died").exists()
    np.testing.assert_array_equal(lr_map.loss, expected.loss)


def test_code_in_a_single_file_travels(cluster, tmp_path) -> None:
    (tmp_path / "my_training.py").write_text(
        "import lrscout\n"
        "RATE = 0.1\n"
        "def make():\n"
        "    return lrscout.from_functions(lambda lr: lr + RATE, lambda: None, lambda _: None, lr=RATE)\n"
    )
    lr_map = lrscout.sweep(
        f"{tmp_path / 'my_training.py'}:make", [0.5], 10, loss="training", runner=Ray(cluster.address)
    )
    np.testing.assert_allclose(lr_map.loss, 0.6)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (dies, "given up after 2 workers died on it"),
        (runs_out_of_memory, "ran out of memory. Give each task fewer lanes"),
        (raises, "raised ValueError on a worker: the third layer is tired"),
    ],
)
def test_work_that_fails_on_a_worker(cluster, make, sentence: str) -> None:
    with pytest.raises(RunnerError, match=sentence):
        lrscout.sweep(make, [0.1], 10, loss="training", runner=Ray(cluster.address, lanes_per_task=8, retries=1))
    assert not ray.is_initialized()


def test_a_factory_that_a_worker_cannot_import(cluster) -> None:
    source = Factory(quadratic_loop, "here")
    source._target = "a_module_that_only_the_driver_has:make"
    runner = Ray(cluster.address)
    with pytest.raises(RunnerError, match=r"A worker cannot import here: .*a_module_that_only_the_driver_has"):
        list(runner.run(source, blocks_of([Run(np.ones(4))], 8), Bar(None, 0, "")))


def test_a_cluster_without_what_is_asked_for(cluster) -> None:
    with pytest.raises(RunnerError, match="No node of the Ray cluster has 1 CPU and 1 unicorn"):
        lrscout.sweep(quadratic_loop, [0.1], 10, runner=Ray(cluster.address, resources={"unicorn": 1}))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_an_address_where_nobody_answers(address: str) -> None:
    with pytest.raises(RunnerError, match="No Ray cluster answers at"):
        lrscout.sweep(quadratic_loop, [0.1], 10, runner=Ray(address))


def test_a_loop_cannot_travel(cluster) -> None:
    for lanes_per_task in (None, 1):
        with pytest.raises(InvalidValueError, match="Give the function that makes it"):
            lrscout.sweep(quadratic_loop(), [0.1], 10, runner=Ray(cluster.address, lanes_per_task=lanes_per_task))
        assert not ray.is_initialized()


def test_workers_that_outlive_a_sweep_make_the_loops_of_the_next(cluster) -> None:
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        for curvature in (1.0, 3.0):
            make = lambda curvature=curvature: quadratic_loop((curvature,))  # noqa: E731
            lr_map = lrscout.sweep(make, [0.1], 10, loss="training", runner="ray")
            expected = lrscout.sweep(make, [0.1], 10, loss="training")
            np.testing.assert_array_equal(lr_map.loss, expected.loss)
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_values_that_no_cluster_could_use() -> None:
    with pytest.raises(InvalidValueError, match="lanes_per_task must be at least 1"):
        Ray(lanes_per_task=0)
    with pytest.raises(InvalidValueError, match="retries must be at least 0"):
        Ray(retries=-1)
    with pytest.raises(InvalidValueError, match="resources must be amounts"):
        Ray(resources={"CPU": 0})
