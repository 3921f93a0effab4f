"""Runners by their names."""

from __future__ import annotations

from lrscout.core.checks import check_choice
from lrscout.core.errors import InvalidValueError
from lrscout.runners.fleet import FleetRunner
from lrscout.runners.plan import Runner
from lrscout.runners.serial import SerialRunner

RUNNERS = ("fleet", "serial", "ray")


def runner_named(runner: str | Runner) -> Runner:
    """Return a runner by its name, or the runner itself if it is one.

    Raises:
        InvalidValueError: there is no runner of that name.
        MissingDependencyError: it is Ray, which is not installed.
    """
    if not isinstance(runner, str):
        if isinstance(runner, type) or not all(hasattr(runner, part) for part in ("lanes", "run")):
            raise InvalidValueError(
                f"runner must be one of {', '.join(RUNNERS)}, or a runner such as Ray(), but it is {runner!r}."
            )
        return runner
    match check_choice("runner", runner, RUNNERS):
        case "serial":
            return SerialRunner()
        case "ray":
            from lrscout.runners.ray import Ray

            return Ray()
        case _:
            return FleetRunner()
