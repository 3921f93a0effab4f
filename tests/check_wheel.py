"""Build the wheel, install it where the repository cannot be seen, and use it there."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

CODE = """
import pathlib, sys
import lrscout
assert pathlib.Path(lrscout.__file__).is_relative_to({place!r}), lrscout.__file__
assert not {{"torch", "jax", "tensorflow", "keras", "matplotlib"}} & set(sys.modules)
position = [1.0]
def step(lr):
    loss = position[0] ** 2
    position[0] -= 2 * lr * position[0]
    return loss
loop = lrscout.from_functions(step, position.copy, lambda copy: position.__setitem__(0, copy[0]), lr=0.1)
assert lrscout.range_test(loop).lr and position == [1.0]
package = pathlib.Path(lrscout.__file__).parent
assert (package / "py.typed").exists()
for name in ("index.html", "lrscout.js", "lrscout.css"):
    assert (package / "app" / "static" / name).stat().st_size > 0, name
"""


def main() -> None:
    repository = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder).resolve() / "site")
        run = [sys.executable, "-m"]
        subprocess.run([*run, "build", "--wheel", "--no-isolation", "--outdir", folder, repository], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        subprocess.run([*run, "pip", "install", "--quiet", "--no-deps", "--target", place, wheel], check=True)
        environment = {**os.environ, "PYTHONPATH": place}
        subprocess.run([sys.executable, "-c", CODE.format(place=place)], check=True, cwd=folder, env=environment)
    print("The wheel works from outside the repository.")


if __name__ == "__main__":
    main()
