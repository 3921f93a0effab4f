"""Blocks of runs on many machines, through Ray."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from lrscout.core.checks import check_count
from lrscout.core.curve import Curve
from lrscout.core.errors import InvalidValueError, LrscoutError, RunnerError, TargetError
from lrscout.core.imports import require
from lrscout.core.progress import Bar
from lrscout.core.source import Factory, Source
from lrscout.runners.fleet import LANE_UNIT, FleetRunner
from lrscout.runners.plan import Block, Finished, Run

ray = require("ray", extra="ray")

_SECONDS_TO_ANSWER = 10.0
_SECONDS_BETWEEN_LOOKS = 5.0
_LOOKS_WITHOUT_A_NODE = 12


class Ray:
    """Takes the blocks of a plan as tasks on a Ray cluster, each with its own loop, made there by the loop's factory.

    A task whose worker or node dies is tried again elsewhere. Results come back as they are ready.

    Args:
        address: the cluster: ``"auto"`` for the one that this machine is part of, ``"host:port"``, or
            ``"ray://host:port"``. By default the one in ``RAY_ADDRESS``, or one that runs on this machine, or else a
            new one on this machine.
        lanes_per_task: runs in a task, stepped as one fleet where the loop can be; by default so many
            that the cluster is full, but at least eight.
        resources: what a task needs, as Ray counts it: ``{"CPU": 4, "GPU": 1}``; by default one processor.
        retries: how often a block is tried again after its worker or node has died.
        runtime_env: Ray's description of what the workers need, such as ``{"working_dir": "."}``.

    Raises:
        MissingDependencyError: Ray is not installed.
        InvalidValueError: an argument is out of range.
    """

    name = "ray"

    def __init__(
        self,
        address: str | None = None,
        *,
        lanes_per_task: int | None = None,
        resources: Mapping[str, float] | None = None,
        retries: int = 3,
        runtime_env: Mapping[str, Any] | None = None,
    ) -> None:
        if lanes_per_task is not None:
            check_count("lanes_per_task", lanes_per_task, at_least=1)
        self._address = address
        self._lanes_per_task = lanes_per_task
        self._needs = {"CPU": 1.0, **(resources or {})}
        if not any(self._needs.values()) or min(self._needs.values()) < 0:
            raise InvalidValueError(f"resources must be amounts, one of them above zero, but they are {resources!r}.")
        self._retries = check_count("retries", retries, at_least=0)
        self._runtime_env = dict(runtime_env or {})
        self._connected = False
        self.notes: tuple[str, ...] = ()

    def lanes(self, source: Source, plan: Sequence[Run]) -> int:
        self.notes = ()
        _factory_of(source)
        if self._lanes_per_task is not None:
            return self._lanes_per_task
        self._connect()  # And stay so: a cluster of one's own takes seconds to start.
        tasks = max(1, sum(self._tasks_at_once(node) for node in _alive()))
        return -(-len(plan) // (tasks * LANE_UNIT)) * LANE_UNIT

    def run(self, source: Source, blocks: Sequence[Block], bar: Bar) -> Iterator[Finished]:
        if not blocks:
            return
        factory = _factory_of(source)
        self._connect()
        try:
            self._check_needs()
            with _carried(factory):
                task, given = self._task(), ray.put((uuid4().hex, factory.make_on_worker, factory.name))
            yield from self._results(lambda block: task.remote(given, block), blocks, bar)
        finally:
            self._disconnect()

    def _results(self, submit: Callable[[Block], Any], blocks: Sequence[Block], bar: Bar) -> Iterator[Finished]:
        """Yield blocks as they are finished; hand those out again whose worker or node has died."""
        waiting = {submit(block): block for block in blocks}
        failures: dict[int, int] = {}
        looks = 0
        try:
            while waiting:
                ready, _ = ray.wait(list(waiting), timeout=_SECONDS_BETWEEN_LOOKS)
                looks = 0 if ready or self._has_a_node() else looks + 1
                if looks == _LOOKS_WITHOUT_A_NODE:
                    raise RunnerError(f"No node of the Ray cluster is left that has {_listed(self._needs)}.")
                for reference in ready:
                    block = waiting.pop(reference)
                    try:
                        curves, notes = ray.get(reference)
                    except ray.exceptions.RayTaskError as error:
                        raise _explained(error) from error
                    except ray.exceptions.RayError as error:
                        failures[block.index] = failures.get(block.index, 0) + 1
                        if failures[block.index] > self._retries:
                            raise _given_up(error, self._retries) from error
                        waiting[submit(block)] = block
                        continue
                    self.notes = tuple(dict.fromkeys((*self.notes, *notes)))
                    bar.advance(block.steps * len(block.runs))
                    yield block, curves
        finally:
            for reference in waiting:
                ray.cancel(reference, force=True)

    def _task(self) -> Any:
        others = {name: amount for name, amount in self._needs.items() if name not in ("CPU", "GPU", "memory")}
        # Ray's own retries of a task that runs out of memory never end, so a block is handed out again by us.
        return ray.remote(
            num_cpus=self._needs["CPU"],
            num_gpus=self._needs.get("GPU", 0),
            memory=self._needs.get("memory"),
            resources=others or None,
            max_retries=0,
        )(_work)

    def _tasks_at_once(self, node: Any) -> int:
        has = node["Resources"]
        return min(int(has.get(name, 0) // amount) for name, amount in self._needs.items() if amount)

    def _has_a_node(self) -> bool:
        return any(self._tasks_at_once(node) for node in _alive())

    def _check_needs(self) -> None:
        if not self._has_a_node():
            raise RunnerError(
                f"No node of the Ray cluster has {_listed(self._needs)}. Ask for less: resources={{...}}."
            )

    def _connect(self) -> None:
        """Connect to the cluster, unless the user is connected to one already."""
        if ray.is_initialized():
            return
        try:
            _check_somebody_answers(self._address)
            ray.init(
                address=self._address,
                runtime_env=self._runtime_env or None,
                log_to_driver=False,
                logging_level="ERROR",
                include_dashboard=None if self._address else False,
            )
        except (OSError, RuntimeError, ValueError) as error:
            sentence = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            where = f"at {self._address!r}" if self._address else "on this machine"
            raise RunnerError(f"No Ray cluster answers {where}: {sentence}") from error
        self._connected = True

    def _disconnect(self) -> None:
        if self._connected:
            ray.shutdown()
            self._connected = False


def _work(
    given: tuple[str, Callable[..., object] | str, str], block: Block
) -> tuple[tuple[Curve, ...], tuple[str, ...]]:
    """Take the runs of a block; this happens on a worker."""
    sweep, make, name = given
    if sweep not in _FACTORIES:
        _FACTORIES.clear()  # A worker may outlive a sweep, and the next one may make other loops by the same name.
        try:
            _FACTORIES[sweep] = Factory(make, name)
        except (ImportError, TargetError) as error:
            raise TargetError(f"A worker cannot import {name}: {error}") from None
    factory = _FACTORIES[sweep]
    runner = FleetRunner()
    ((_, curves),) = runner.run(factory, [block], Bar(None, 0, ""))
    return curves, runner.notes


_FACTORIES: dict[str, Factory] = {}
"""What makes the loops of the sweep under way, kept so that a block finds the loop made and its program compiled."""


def _factory_of(source: Source) -> Factory:
    if not isinstance(source, Factory):
        raise InvalidValueError(
            "A loop cannot travel to other machines. Give the function that makes it, or a target that names it, "
            "such as 'train.py:make_loop'."
        )
    return source


@contextmanager
def _carried(factory: Factory) -> Generator[None]:
    """Let code that lives in a single file travel with the tasks, since the workers may not have the file."""
    module = sys.modules.get(getattr(factory.make, "__module__", ""))
    if not factory.from_file or module is None:
        yield
        return
    ray.cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        ray.cloudpickle.unregister_pickle_by_value(module)


def _check_somebody_answers(address: str | None) -> None:
    """Fail at once where nobody listens; Ray would try for minutes.

    Raises:
        OSError: nobody does.
    """
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), _SECONDS_TO_ANSWER).close()


def _alive() -> list[Any]:
    return [node for node in ray.nodes() if node["Alive"]]


def _explained(error: Any) -> LrscoutError:
    """Return what went wrong in a task, in a sentence."""
    cause = error.cause
    if isinstance(cause, MemoryError):
        return _out_of_memory()
    if isinstance(cause, LrscoutError):
        return RunnerError(f"A worker failed: {cause}")
    notes = " ".join(getattr(cause, "__notes__", []))
    return RunnerError(f"The loop raised {type(cause).__name__} on a worker: {cause}. {notes}".strip())


def _given_up(error: Exception, retries: int) -> RunnerError:
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return _out_of_memory()
    sentence = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return RunnerError(
        f"A block of runs was given up after {retries + 1} workers died on it; the last: {sentence} "
        "If they ran out of memory, give each task fewer lanes: lanes_per_task=..."
    )


def _out_of_memory() -> RunnerError:
    return RunnerError(
        "A worker ran out of memory. Give each task fewer lanes (lanes_per_task=...) or ask for more memory "
        "(resources={'memory': bytes})."
    )


def _listed(needs: Mapping[str, float]) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in needs.items())
