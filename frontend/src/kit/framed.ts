/** A picture that is saved: with its title above and what its colours mean, so that it stands alone. */

import { canvasFont, palette } from "./palette";

export interface KeyEntry {
  text: string;
  colour: string;
}

const SIDE = 20;
const TITLE = 18;
const SMALL = 13;
const LINE = 20;

/** Return a drawn picture in its frame.
 *
 * @param drawn - the picture, in the pixels of this screen.
 * @param title - what it shows.
 * @param subtitle - what it says.
 * @param key - what its colours mean.
 */
export function framed(drawn: HTMLCanvasElement, title: string, subtitle: string, key: readonly KeyEntry[] = []): HTMLCanvasElement {
  const ratio = devicePixelRatio;
  const width = drawn.width / ratio + 2 * SIDE;
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d")!;
  context.font = canvasFont(SMALL);
  const lines = linesOf(context, key, width - 2 * SIDE);
  const above = SIDE + TITLE + 8 + (subtitle ? LINE : 0) + lines.length * LINE + 4;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round((above + SIDE) * ratio) + drawn.height;
  context.scale(ratio, ratio);
  const { raised, ink, muted } = palette();
  context.fillStyle = raised;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = ink;
  context.font = canvasFont(TITLE, 600);
  context.fillText(title, SIDE, SIDE + TITLE - 3, width - 2 * SIDE);
  context.fillStyle = muted;
  context.font = canvasFont(SMALL);
  context.fillText(subtitle, SIDE, SIDE + TITLE + LINE, width - 2 * SIDE);
  lines.forEach((line, index) => drawLine(context, line, above - (lines.length - index) * LINE + 6));
  context.drawImage(drawn, SIDE, above, drawn.width / ratio, drawn.height / ratio);
  return canvas;
}

/** Break a key into lines that fit. */
function linesOf(context: CanvasRenderingContext2D, key: readonly KeyEntry[], width: number): KeyEntry[][] {
  const lines: KeyEntry[][] = [];
  let used = Infinity;
  for (const entry of key) {
    const needed = widthOf(context, entry);
    if (used + needed > width) {
      lines.push([]);
      used = 0;
    }
    lines.at(-1)!.push(entry);
    used += needed;
  }
  return lines;
}

function widthOf(context: CanvasRenderingContext2D, { text }: KeyEntry): number {
  return context.measureText(text).width + 42;
}

function drawLine(context: CanvasRenderingContext2D, line: readonly KeyEntry[], y: number): void {
  let x = SIDE;
  for (const entry of line) {
    context.fillStyle = entry.colour;
    context.fillRect(x, y - 1.5, 16, 3);
    context.fillStyle = palette().muted;
    context.fillText(entry.text, x + 22, y + 4);
    x += widthOf(context, entry);
  }
}
