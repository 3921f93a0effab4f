/** The cells of a map as an image, drawn pixel by pixel so that a thousand cells cost as little as one. */

import { palette } from "../kit/palette";
import type { Box } from "./axes";
import { type ColourScale, parseColour, pixel, valley } from "./colours";
import type { Scale } from "./scale";

export interface Grid {
  /** The middle of each column and of each row, rising; a cell reaches half-way to the next, in ratios. */
  readonly xs: readonly number[];
  readonly ys: readonly number[];
  /** The value of each cell, row by row from the lowest y; NaN where there is none. */
  readonly values: ArrayLike<number>;
  /** The values between which the colours run. */
  readonly low: number;
  readonly high: number;
  /** Whether the colours follow the value's logarithm. */
  readonly logarithmic?: boolean;
  /** What is drawn in grey: NaN, and values above this one. */
  readonly worseThan?: number;
  readonly colours?: ColourScale;
}

/** Return where cells part: half-way between their middles, in ratios; the outer ones are as wide as they reach in. */
export function edgesOf(middles: readonly number[]): number[] {
  if (middles.length === 0) return [1, 10];
  if (middles.length === 1) return [middles[0]! / 1.5, middles[0]! * 1.5];
  const inner = middles.slice(1).map((middle, index) => Math.sqrt(middle * middles[index]!));
  const first = middles[0]! ** 2 / inner[0]!;
  const last = middles.at(-1)! ** 2 / inner.at(-1)!;
  return [first, ...inner, last];
}

/** Return the image of the cells in a box, in device pixels. */
export function imageOf(grid: Grid, x: Scale, y: Scale, box: Box, ratio: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round((box.right - box.left) * ratio));
  canvas.height = Math.max(1, Math.round((box.bottom - box.top) * ratio));
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  const colours = coloursOf(grid);
  const columns = cellsAlong(canvas.width, (place) => x.value(box.left + place / ratio), edgesOf(grid.xs));
  const rows = cellsAlong(canvas.height, (place) => y.value(box.top + place / ratio), edgesOf(grid.ys));
  for (let down = 0; down < canvas.height; down += 1) {
    const start = rows[down]! * grid.xs.length;
    const line = down * canvas.width;
    for (let across = 0; across < canvas.width; across += 1) pixels[line + across] = colours[start + columns[across]!]!;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Return the share of the colour scale at which a value stands. */
export function shareOf({ low, high, logarithmic }: Pick<Grid, "low" | "high" | "logarithmic">, value: number): number {
  if (!(high > low)) return 0;
  return logarithmic ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
}

function coloursOf(grid: Grid): Uint32Array {
  const shades = (grid.colours ?? valley).map(pixel);
  const worse = pixel(parseColour(palette().worse));
  const limit = grid.worseThan ?? Number.POSITIVE_INFINITY;
  return Uint32Array.from({ length: grid.values.length }, (_, cell) => {
    const value = grid.values[cell]!;
    if (!(value <= limit)) return worse;
    const share = Math.min(1, Math.max(0, shareOf(grid, value)));
    return shades[Math.round(share * (shades.length - 1))] ?? worse;
  });
}

/** Return the index of the cell under each of so many pixels. */
function cellsAlong(count: number, valueAt: (place: number) => number, edges: readonly number[]): Uint16Array {
  return Uint16Array.from({ length: count }, (_, index) => {
    const value = valueAt(index + 0.5);
    let [low, high] = [0, edges.length - 2];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (edges[middle]! <= value) low = middle;
      else high = middle - 1;
    }
    return low;
  });
}
