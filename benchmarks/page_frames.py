"""How many times a second do all four pictures of the lesson follow a slider that is dragged?

The learning rate is dragged from one end to the other in 60 moves, sent at the pace of a screen and without waiting for
one another, in a Chromium without a graphics card. An update is a frame in which every picture has been drawn for the
newest rate; the page counts them, and when each came is noted beside it. The bar is 45 a second on a quiet machine with
two cores.

Run it with `python benchmarks/page_frames.py`; it keeps its figures in results/page_frames.json. With `--profile FILE`
it writes a profile for Chromium's developer tools instead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import uvicorn
from playwright.async_api import Page, async_playwright

from lrscout.app.server import make_app

MOVES, PACE, DRAGS = 60, 1 / 60, 7
BAR = 45
STATE = "#/lesson?lr=0.001&steps=200"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
)
RESULTS = Path(__file__).parent / "results" / "page_frames.json"

NOTE_UPDATES = """() => {
  window.updates = [];
  const note = () => window.updates.push(performance.now());
  new MutationObserver(note).observe(document.querySelector(".lesson-stage"), { attributeFilter: ["data-updates"] });
}"""


@contextmanager
def served() -> Iterator[str]:
    """Serve the page on a free port of loopback."""
    server = uvicorn.Server(uvicorn.Config(make_app(store=None), log_level="error"))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server.should_exit = True
    thread.join()
    listener.close()


async def drag(page: Page, client: Any, *, backwards: bool) -> dict[str, float]:
    """Drag the rate from one end to the other, and return how the page followed."""
    box = await page.get_by_role("slider", name="Learning rate").bounding_box()
    assert box is not None
    shares = [move / MOVES for move in range(MOVES + 1)]
    places = [box["x"] + 8 + share * (box["width"] - 16) for share in (reversed(shares) if backwards else shares)]
    middle = box["y"] + box["height"] / 2

    def send(kind: str, x: float) -> asyncio.Future[Any]:
        event = {"type": kind, "x": x, "y": middle, "button": "left", "buttons": 1, "clickCount": 1}
        return asyncio.ensure_future(client.send("Input.dispatchMouseEvent", event))

    await send("mousePressed", places[0])
    await page.wait_for_timeout(200)
    await page.evaluate("() => { window.updates.length = 0; }")
    began = time.perf_counter()
    sent = []
    for move, place in enumerate(places[1:]):
        await asyncio.sleep(max(0.0, began + move * PACE - time.perf_counter()))
        sent.append(send("mouseMoved", place))
    await asyncio.gather(*sent)
    await page.wait_for_timeout(200)
    await send("mouseReleased", places[-1])
    times: list[float] = await page.evaluate("() => window.updates")
    gaps = [after - before for before, after in pairwise(times)]
    return {
        "updates": len(times),
        "updates per second": 1000 * len(gaps) / sum(gaps),
        "longest gap in ms": max(gaps),
    }


async def measure(address: str, profile: Path | None) -> dict[str, Any]:
    """Drag to and fro, and return the figures of every drag."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        await page.goto(address + STATE)
        await page.wait_for_selector(".panel.loss .uplot")
        await page.evaluate(NOTE_UPDATES)
        client = await page.context.new_cdp_session(page)
        await drag(page, client, backwards=False)
        if profile:
            await client.send("Profiler.enable")
            await client.send("Profiler.start")
        drags = [await drag(page, client, backwards=index % 2 == 0) for index in range(DRAGS)]
        if profile:
            profile.write_text(json.dumps((await client.send("Profiler.stop"))["profile"]))
        version = browser.version
        await browser.close()
    return {"chromium": version, "drags": drags}


def main() -> None:
    """Measure, print the median, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", type=Path, help="write a profile of the drags to this file")
    profile = parser.parse_args().profile
    with served() as address:
        figures = asyncio.run(measure(address, profile))
    median = statistics.median(drag["updates per second"] for drag in figures["drags"])
    load = os.getloadavg()[0]
    print(f"{median:.1f} updates a second (bar: {BAR}); load {load:.1f} on {os.cpu_count()} cores")
    if profile:
        return
    kept = {"moves": MOVES, "cores": os.cpu_count(), "load": round(load, 1), "updates per second": median, **figures}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
