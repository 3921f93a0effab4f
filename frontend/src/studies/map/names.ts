/** Where the names of a map's regions have room. */

import type { Outcome } from "../../kit/outcomes";
import { outcomeName } from "../../kit/outcomes";
import type { Best } from "../contract";
import type { Patch } from "./cells";
import type { Frame } from "./frame";

const GRAIN = 4;
const AROUND_LINE = 9;
const MARGIN = 4;
/** Regions that a name is looked for; the others are too small among so many. */
const MOST_NAMES = 12;

export interface RegionName {
  text: string;
  x: number;
  y: number;
  upright: boolean;
}

/** Return a name for each region that has room for it, off the line of the best rates.
 *
 * @param widthOf - the width of a text in pixels.
 * @param size - the height of a text in pixels.
 */
export function regionNames(
  regions: readonly Patch<Outcome | null>[],
  frame: Frame,
  best: readonly (Best | null)[],
  widthOf: (text: string) => number,
  size: number,
): RegionName[] {
  const line = lineGround(frame, best);
  const named: RegionName[] = [];
  for (const region of regions.slice(0, MOST_NAMES)) {
    const text = outcomeName(region.kind);
    const ground = groundOf(region, frame, line);
    const [wide, tall] = [widthOf(text) + 2 * MARGIN, size + 2 * MARGIN];
    const across = roomiest(ground, wide, tall);
    const place = across ?? roomiest(ground, tall, wide);
    if (place !== null) named.push({ text, x: place.x, y: place.y, upright: across === null });
  }
  return named;
}

/** A raster over the ground of the cells: 1 where a name may not lie. */
interface Ground {
  columns: number;
  rows: number;
  taken: Uint8Array;
  left: number;
  top: number;
}

function emptyGround(frame: Frame, value: number): Ground {
  const columns = Math.max(1, Math.floor((frame.plot.right - frame.plot.left) / GRAIN));
  const rows = Math.max(1, Math.floor((frame.plot.bottom - frame.plot.top) / GRAIN));
  return { columns, rows, taken: new Uint8Array(columns * rows).fill(value), left: frame.plot.left, top: frame.plot.top };
}

function paint(ground: Ground, left: number, top: number, right: number, bottom: number, value: number): void {
  const first = Math.max(0, Math.ceil((left - ground.left) / GRAIN));
  const last = Math.min(ground.columns, Math.floor((right - ground.left) / GRAIN));
  for (let row = Math.max(0, Math.ceil((top - ground.top) / GRAIN)); row < Math.min(ground.rows, Math.floor((bottom - ground.top) / GRAIN)); row += 1) {
    if (last > first) ground.taken.fill(value, row * ground.columns + first, row * ground.columns + last);
  }
}

function groundOf(region: Patch<Outcome | null>, frame: Frame, line: Ground): Ground {
  const ground = emptyGround(frame, 1);
  for (const { row, column } of region.cells) {
    const box = frame.boxOf({ rate: row, checkpoint: column });
    // A little more than the cell, so that no seam is left between neighbours.
    paint(ground, box.left - GRAIN / 2, box.top - GRAIN / 2, box.right + GRAIN / 2, box.bottom + GRAIN / 2, 0);
  }
  line.taken.forEach((taken, place) => {
    if (taken) ground.taken[place] = 1;
  });
  return ground;
}

/** The ground that the line of the best rates takes, with its intervals. */
function lineGround(frame: Frame, best: readonly (Best | null)[]): Ground {
  const ground = emptyGround(frame, 0);
  const points = best.filter((one) => one !== null);
  points.forEach((one, index) => {
    const [x, low, high] = [frame.x.place(one.steps), frame.y.place(one.low ?? one.lr), frame.y.place(one.high ?? one.lr)];
    paint(ground, x - AROUND_LINE, high - AROUND_LINE, x + AROUND_LINE, low + AROUND_LINE, 1);
    const next = points[index + 1];
    if (next === undefined) return;
    const [x2, y1, y2] = [frame.x.place(next.steps), frame.y.place(one.lr), frame.y.place(next.lr)];
    const parts = Math.max(1, Math.ceil((x2 - x) / GRAIN));
    for (let part = 0; part <= parts; part += 1) {
      const share = part / parts;
      const [px, py] = [x + share * (x2 - x), y1 + share * (y2 - y1)];
      paint(ground, px - AROUND_LINE, py - AROUND_LINE, px + AROUND_LINE, py + AROUND_LINE, 1);
    }
  });
  return ground;
}

/** Return the middle of the place with the most free room for something so wide and tall, or null if there is none. */
function roomiest(ground: Ground, wide: number, tall: number): { x: number; y: number } | null {
  const sums = summed(ground);
  let found: { x: number; y: number } | null = null;
  for (const more of [1, 1.3, 1.7, 2.2, 3]) {
    const [columns, rows] = [Math.ceil((wide * more) / GRAIN), Math.ceil((tall * more) / GRAIN)];
    const free = freeWindows(ground, sums, columns, rows);
    if (free.length === 0) break;
    const middle = free.reduce((sum, place) => ({ x: sum.x + place.x / free.length, y: sum.y + place.y / free.length }), { x: 0, y: 0 });
    const far = (place: { x: number; y: number }): number => (place.x - middle.x) ** 2 + (place.y - middle.y) ** 2;
    const nearest = free.reduce((best, place) => (far(place) < far(best) ? place : best));
    found = { x: ground.left + (nearest.x + columns / 2) * GRAIN, y: ground.top + (nearest.y + rows / 2) * GRAIN };
  }
  return found;
}

function summed(ground: Ground): Int32Array {
  const stride = ground.columns + 1;
  const sums = new Int32Array(stride * (ground.rows + 1));
  for (let row = 0; row < ground.rows; row += 1) {
    for (let column = 0; column < ground.columns; column += 1) {
      const at = (row + 1) * stride + column + 1;
      const own = ground.taken[row * ground.columns + column] as number;
      sums[at] = own + (sums[at - 1] as number) + (sums[at - stride] as number) - (sums[at - stride - 1] as number);
    }
  }
  return sums;
}

function freeWindows(ground: Ground, sums: Int32Array, wide: number, tall: number): { x: number; y: number }[] {
  const stride = ground.columns + 1;
  const found: { x: number; y: number }[] = [];
  for (let y = 0; y + tall <= ground.rows; y += 1) {
    for (let x = 0; x + wide <= ground.columns; x += 1) {
      const [a, b] = [y * stride + x, (y + tall) * stride + x];
      const taken = (sums[b + wide] as number) - (sums[b] as number) - (sums[a + wide] as number) + (sums[a] as number);
      if (taken === 0) found.push({ x, y });
    }
  }
  return found;
}
