"""Reading the lesson's stage in a browser: what it says, and what is drawn."""

from __future__ import annotations

PICTURES = ("points", "loss", "bowl", "map")

INK = """
(root) => [...root.querySelectorAll("canvas")].filter((one) => one.width && one.checkVisibility()).map((canvas) => {
  // A copy, so that the page's own canvases stay where they are drawn fastest.
  const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let sum = 0;
  let drawn = 0;
  for (let index = 3; index < pixels.length; index += 4) {
    if (pixels[index]) drawn += 1;
    sum = (31 * sum + pixels[index - 3] + 3 * pixels[index - 2] + 7 * pixels[index - 1] + pixels[index]) % 1000000007;
  }
  return { drawn: drawn / (pixels.length / 4), sum };
})
"""


def shown(page) -> dict[str, str]:
    """Return what the stage says it shows."""
    return page.evaluate("({...document.querySelector('.lesson-stage').dataset})")


def settled(page, **wanted) -> dict[str, str]:
    """Wait until the stage shows some values, and return all."""
    for name, value in wanted.items():
        page.wait_for_function(
            "([name, value]) => document.querySelector('.lesson-stage').dataset[name] === value", arg=[name, str(value)]
        )
    return shown(page)


def verdict(page) -> str:
    return page.locator(".verdict strong").inner_text()


def drawn(page) -> dict[str, list[dict[str, float]]]:
    """Return for each picture, and each of its layers, how much of it is covered and a sum over its pixels."""
    # Two frames, so that what was set has been drawn.
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return {name: page.locator(f".panel.{name}").evaluate(INK) for name in PICTURES}


def rate(page):
    return page.get_by_role("slider", name="Learning rate")
