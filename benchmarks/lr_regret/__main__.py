"""Run the benchmark: `python -m benchmarks.lr_regret [--tasks NAME ...] [--finders NAME ...] [--again]`.

What has been judged stays, so a run that was interrupted goes on where it was; `--again` asks the named finders anew.
An oracle that is missing is made first with `python -m benchmarks.lr_regret.oracle TASK`, which takes long; here a task
without one is left out, and named. In the end the report is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable

from benchmarks.lr_regret import report
from benchmarks.lr_regret.finders import Answer, all_finders
from benchmarks.lr_regret.judge import Pick, Row, judge
from benchmarks.lr_regret.records import finders_of, keep, oracle_path
from benchmarks.lr_regret.task import Task
from benchmarks.lr_regret.tasks import SEEDS, TASKS


def run(task: Task, finders: dict[tuple[str, ...], Answer], again: bool) -> None:
    """Ask each finder that has not answered yet about a task, judge the picks of all together, and keep the rows."""
    known: Collection[str] = set() if again else finders_of(task.name)
    picks: list[Pick] = []
    rows: list[Row] = []
    for names, answer in finders.items():
        if set(names) <= set(known):
            continue
        try:
            answers = [each for seed in SEEDS for each in answer(task, seed)]
        except FileNotFoundError as error:
            print(f"{task.name}, {', '.join(names)}: {error}", flush=True)
            continue
        picks += [each for each in answers if isinstance(each, Pick)]
        rows += [each for each in answers if isinstance(each, Row)]
    rows += judge(picks)
    if rows:
        keep(task.name, rows)
        print(f"{task.name}: {len({row.finder for row in rows})} finders judged", flush=True)


def _chosen(finders: dict[tuple[str, ...], Answer], wanted: Iterable[str]) -> dict[tuple[str, ...], Answer]:
    """Return the finders that have a name which begins with one of those that are wanted; all, if none is."""
    beginnings = tuple(each.lower() for each in wanted)
    if not beginnings:
        return finders
    return {
        names: answer for names, answer in finders.items() if any(name.lower().startswith(beginnings) for name in names)
    }


def main() -> None:
    """Run what is missing, and write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lr_regret", description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=[], help="names of tasks; by default all")
    parser.add_argument("--finders", nargs="*", default=[], help="how names of finders begin; by default all")
    parser.add_argument("--again", action="store_true", help="ask finders anew that have answered")
    parser.add_argument("--no-report", action="store_true", help="leave the report as it is")
    arguments = parser.parse_args()
    finders = _chosen(all_finders(), arguments.finders)
    for name in arguments.tasks or TASKS:
        if oracle_path(name).exists():
            run(TASKS[name], finders, arguments.again)
        else:
            print(f"{name} has no oracle: python -m benchmarks.lr_regret.oracle {name}", flush=True)
    if not arguments.no_report:
        report.write()


if __name__ == "__main__":
    main()
