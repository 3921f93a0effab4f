"""A driver that is started to be killed: `python driver.py URL` keeps blocks for ever and says so after each."""

from __future__ import annotations

import os
import sys
from itertools import count

from lrscout.store.store import open_store
from tests.store.curves import INPUTS, curves_of

LANES, STEPS = 20, 500


def main(url: str, *, leave_a_child: bool = False) -> None:
    """Keep every block that is missing, in order."""
    with open_store(url).begin("study", kind="sweep", inputs=INPUTS, target="digits.py:make") as study:
        if leave_a_child and os.fork() == 0:
            sys.stdin.read()  # Until the test lets go.
            os._exit(0)
        done = study.finished()
        print("begun", flush=True)
        for block in count():
            if block not in done:
                study.keep(block, curves_of(block, LANES, STEPS))
                print(block, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], leave_a_child="--leave-a-child" in sys.argv)
