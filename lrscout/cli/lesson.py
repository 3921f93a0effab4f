"""`lrscout lesson`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lrscout.cli.output import make_folder, one_sentence
from lrscout.core.errors import InvalidValueError
from lrscout.lesson.descent import descend
from lrscout.lesson.engines import ENGINES, START_B, START_W, USUAL_LR, make_engine
from lrscout.lesson.lr_map import STEPS as MAP_STEPS
from lrscout.lesson.lr_map import LessonMap, lesson_map
from lrscout.lesson.problem import sample_problem
from lrscout.lesson.story import STEPS, Story, tell

EngineName = StrEnum("EngineName", list(ENGINES))
_JAX = EngineName("jax")
_USUAL_STEPS = 200


def lesson(
    engine: Annotated[EngineName, typer.Option(help="What computes the descent.")] = _JAX,
    lr: Annotated[float | None, typer.Option(help="Show one run, at this learning rate.")] = None,
    steps: Annotated[int | None, typer.Option(help="Show one run, of this many steps; of a map, the most.")] = None,
    show_map: Annotated[bool, typer.Option("--map", help="Show the map of learning rates and steps.")] = False,
    w0: Annotated[float, typer.Option(help="The weight at the start.")] = START_W,
    b0: Annotated[float, typer.Option(help="The bias at the start.")] = START_B,
    seed: Annotated[int, typer.Option(help="The seed of the points.")] = 23,
    samples: Annotated[int, typer.Option(help="The number of points.")] = 50,
    noise: Annotated[float, typer.Option(help="The noise around the line.")] = 0.1,
    out: Annotated[Path | None, typer.Option(help="A folder for the pictures.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one run, or the map, as a JSON object only.")] = False,
) -> None:
    """Learning rate and steps on the smallest problem there is: a line through noisy points."""
    with one_sentence():
        if out is not None:
            make_folder(out)
        problem = sample_problem(seed, samples, noise)
        chosen = make_engine(engine, problem, w0, b0)
        if show_map:
            if lr is not None:
                raise InvalidValueError(f"--map shows every learning rate and --lr {lr:g} one. Leave one of them out.")
            _show_map(lesson_map(problem, chosen, MAP_STEPS if steps is None else steps), out, json=json)
            return
        descent = None
        if json or lr is not None or steps is not None:
            descent = descend(problem, chosen, USUAL_LR if lr is None else lr, _USUAL_STEPS if steps is None else steps)
        story = tell(problem, chosen) if out is not None or descent is None else None
        if descent is not None:
            typer.echo(descent.to_json() if json else str(descent))
        elif story is not None:
            _print(story)
        if out is not None and story is not None:
            from lrscout.pictures.lesson import save_lesson

            paths = save_lesson(story, out)
            if not json:
                typer.echo(f"The pictures are in {out}: {', '.join(path.name for path in paths)}.")


def _show_map(shown: LessonMap, out: Path | None, *, json: bool) -> None:
    typer.echo(shown.to_json() if json else str(shown))
    if out is not None:
        from lrscout.pictures import save

        save(shown, out / "map.png")
        if not json:
            typer.echo(f"The picture is in {out}: map.png.")


def _print(story: Story) -> None:
    console = Console(highlight=False)
    points = [*story.before_the_table, "Learning rate and steps are two choices; only together they arrive:"]
    for number, point in enumerate(points, start=1):
        console.print(f"{number}. {point}\n")
    steps = [f"{steps} step{'s' * (steps > 1)}" for steps in STEPS]
    table = Table("lr", *steps, box=None, padding=(0, 2, 0, 0))
    for lr, words in story.table:
        table.add_row(f"{lr:g}{' *' * (lr > story.problem.max_stable_lr)}", *words)
    console.print(table)
    console.print(f"   * above the limit, {story.problem.max_stable_lr:.3f}")
    for number, point in enumerate(story.after_the_table, start=len(points) + 1):
        console.print(f"\n{number}. {point}")
