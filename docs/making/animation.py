"""Film the page while its learning rate is turned up: `python docs/making/animation.py`.

It starts `lrscout ui`, turns the rate in a Chromium that is installed already, and writes what is seen to
docs/images/page.gif.
"""

import io
import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

FILM = Path(__file__).parents[1] / "images" / "page.gif"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
SIZE = {"width": 1280, "height": 900}
WIDTH = 880
COLOURS = 255

LANDMARKS = (0.002, 0.02, 0.1, 0.5, 0.77, 0.9)
"""The rates at which the film rests: too small, better, good, just right, nearly too much, too much."""

FRAMES_BETWEEN = 6
MILLISECONDS, MILLISECONDS_OF_REST = 90, 1300


@contextmanager
def page_address():
    """Serve the page, and return where."""
    command = [sys.executable, "-m", "lrscout", "ui", "--port", "0", "--no-browser", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        yield json.loads(server.stdout.readline())["address"]
        server.terminate()


def rates():
    """Yield the rates to show, each with how long."""
    yield LANDMARKS[0], MILLISECONDS_OF_REST
    for before, after in pairwise(LANDMARKS):
        for rate in np.geomspace(before, after, FRAMES_BETWEEN + 1)[1:]:
            yield float(f"{rate:.3g}"), MILLISECONDS_OF_REST if rate == after else MILLISECONDS


def frame_of(page, rate):
    """Return what the page looks like at a rate."""
    exact = page.get_by_label("Learning rate, exactly")
    exact.fill(f"{rate:g}")
    exact.press("Enter")
    page.locator(f'[data-lr="{rate:g}"]').wait_for()
    page.mouse.click(5, 5)  # So that no box is marked as being typed in.
    page.wait_for_timeout(100)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return picture.resize((WIDTH, round(WIDTH * SIZE["height"] / SIZE["width"])), Image.Resampling.LANCZOS)


def main():
    """Film, and write the film."""
    shown = list(rates())
    with page_address() as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(f"{address}#/lesson?lr={LANDMARKS[0]:g}&steps=100")
        frames = [frame_of(page, rate) for rate, _ in shown]
        browser.close()
    # One palette for all, so that what stands still stays the same, and costs nothing.
    together = Image.fromarray(np.concatenate([np.asarray(frame) for frame in frames[::5]]))
    palette = together.quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    first.save(FILM, save_all=True, append_images=others, duration=[length for _, length in shown], loop=0)
    print(f"{FILM.name}: {len(frames)} frames, {FILM.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
