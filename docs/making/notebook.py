"""Run the notebook from start to end, and write it with its outputs: `python docs/making/notebook.py`.

What is written depends on the cells alone: no times, no versions, nothing of the machine that ran it. So a second run
on one machine gives the same file, byte for byte.
"""

import argparse
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "lesson.ipynb"
SECONDS_FOR_A_CELL = 600


def executed(notebook):
    """Return a notebook as it is after a run from start to end, in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=SECONDS_FOR_A_CELL,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": folder}},
        ).execute()
    return notebook


def cleaned(notebook):
    """Return a notebook without what differs between machines and runs."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
    return notebook


def joined(outputs):
    """Return outputs in which what was printed is one piece, and a picture is nothing but a picture."""
    whole = []
    for output in outputs:
        if output.output_type == "stream" and whole and whole[-1].get("name") == output.name:
            whole[-1].text += output.text
            continue
        if "image/png" in output.get("data", {}):
            output.data.pop("text/plain", None)
            output.metadata = {}
        whole.append(output)
    return whole


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=NOTEBOOK, help="Where to write it; by default where it lies.")
    nbformat.write(cleaned(executed(nbformat.read(NOTEBOOK, as_version=4))), parser.parse_args().out)
