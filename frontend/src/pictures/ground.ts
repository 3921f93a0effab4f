/** A surface drawn from its farthest cell to its nearest, with its lines of equal height. */

import { canvasFont, palette } from "../kit/palette";
import type { Camera, Place } from "./camera";
import { cividis, colourAt, css } from "./colours";
import { crossing } from "./contours";
import { scaleBetween, ticksOf } from "./scale";

export interface Ground {
  /** The places of the grid along both axes, evenly spaced and rising. */
  readonly xs: readonly number[];
  readonly ys: readonly number[];
  /** The height at each place, row by row from the lowest y. */
  readonly heights: ArrayLike<number>;
  /** The heights between which the box reaches. */
  readonly low: number;
  readonly high: number;
  /** The height of a place between those of the grid. */
  at(x: number, y: number): number;
}

/** How the colours are spread over the heights: more of them where the valley is. */
const SPREAD = 0.42;
const LEVELS = 11;

/** How far from the middle the ticks and the names of the floor stand; its edge is at 1. */
const TICKS = 1.14;
const NAMES = 1.16;

/** From values to the box that the camera sees, whose sides run from -1 to 1 and which is 1 high. */
export function boxed(ground: Ground) {
  const [x, y] = [scaleBetween(ground.xs[0]!, ground.xs.at(-1)!, -1, 1), scaleBetween(ground.ys[0]!, ground.ys.at(-1)!, -1, 1)];
  const z = scaleBetween(ground.low, ground.high, 0, 1);
  return { x: x.place, y: y.place, z: (height: number) => Math.min(1, z.place(height)) };
}

/** Return what must be seen: every place of the surface, and the corners of the floor with the names around it. */
export function* placesOf(ground: Ground): Iterable<Place> {
  const { x, y, z } = boxed(ground);
  for (const corner of [-NAMES, NAMES]) for (const other of [-NAMES, NAMES]) yield [corner, other, 0];
  for (const [row, up] of ground.ys.entries()) {
    for (const [column, across] of ground.xs.entries()) yield [x(across), y(up), z(ground.heights[row * ground.xs.length + column]!)];
  }
}

/** Draw the surface and the axes of its floor. */
export function drawGround(context: CanvasRenderingContext2D, view: Camera, ground: Ground, names: { x: string; y: string }): void {
  drawFloor(context, view, ground, names);
  const corners = projected(view, ground);
  const columns = order(ground.xs.length - 1, Math.sin(view.turn));
  const rows = order(ground.ys.length - 1, Math.cos(view.turn));
  context.lineJoin = "round";
  for (const row of rows) for (const column of columns) drawCell(context, ground, corners, row, column);
}

/** Return the order of cells from the farthest to the nearest along an axis. */
function order(count: number, away: number): number[] {
  const cells = Array.from({ length: count }, (_, index) => index);
  return away > 0 ? cells.reverse() : cells;
}

function projected(view: Camera, ground: Ground): Float32Array {
  const { x, y, z } = boxed(ground);
  const places = new Float32Array(ground.heights.length * 2);
  ground.ys.forEach((up, row) => {
    ground.xs.forEach((across, column) => {
      const index = row * ground.xs.length + column;
      places.set(view.project(x(across), y(up), z(ground.heights[index]!)), 2 * index);
    });
  });
  return places;
}

function drawCell(context: CanvasRenderingContext2D, ground: Ground, places: Float32Array, row: number, column: number): void {
  const first = row * ground.xs.length + column;
  const above = first + ground.xs.length;
  const round = [first, first + 1, above + 1, above] as const;
  const heights = round.map((index) => (ground.heights[index]! - ground.low) / (ground.high - ground.low)) as [number, number, number, number];
  context.beginPath();
  for (const index of round) context.lineTo(places[2 * index]!, places[2 * index + 1]!);
  context.closePath();
  const height = (heights[0] + heights[1] + heights[2] + heights[3]) / 4;
  context.fillStyle = css(colourAt(cividis, Math.max(0, height) ** SPREAD), shade(heights));
  // A hair's breadth over the edge, or the ground would shine through between the cells.
  context.strokeStyle = context.fillStyle;
  context.lineWidth = 0.7;
  context.fill();
  context.stroke();
  drawLevels(context, places, round, heights);
}

/** Return how bright a cell is: light falls on it from one side. */
function shade(heights: readonly [number, number, number, number]): number {
  const [right, up] = [heights[1] - heights[0], heights[3] - heights[0]];
  return Math.min(1.12, Math.max(0.82, 1 + 1.6 * right - 1.1 * up));
}

function drawLevels(
  context: CanvasRenderingContext2D,
  places: Float32Array,
  round: readonly [number, number, number, number],
  heights: readonly [number, number, number, number],
): void {
  const roots = heights.map((height) => Math.sqrt(Math.max(0, height)) * LEVELS) as [number, number, number, number];
  const [low, high] = [Math.floor(Math.min(...roots)), Math.floor(Math.max(...roots))];
  for (let level = low + 1; level <= high; level += 1) {
    const found = crossing(roots, level);
    if (!found) continue;
    context.beginPath();
    context.moveTo(...within(places, round, found[0], found[1]));
    context.lineTo(...within(places, round, found[2], found[3]));
    context.strokeStyle = "rgb(255 255 255 / 38%)";
    context.lineWidth = 0.8;
    context.stroke();
  }
}

function within(places: Float32Array, [a, b, c, d]: readonly [number, number, number, number], x: number, y: number): [number, number] {
  const mix = (part: number) =>
    (1 - y) * ((1 - x) * places[2 * a + part]! + x * places[2 * b + part]!) +
    y * ((1 - x) * places[2 * d + part]! + x * places[2 * c + part]!);
  return [mix(0), mix(1)];
}

function drawFloor(context: CanvasRenderingContext2D, view: Camera, ground: Ground, names: { x: string; y: string }): void {
  const { rule, muted } = palette();
  const { x, y } = boxed(ground);
  const near = { x: view.depth(1, 0) < 0 ? 1 : -1, y: view.depth(0, 1) < 0 ? 1 : -1 };
  context.save();
  context.strokeStyle = rule;
  context.lineWidth = 1;
  context.beginPath();
  for (const [across, up] of [[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]] as const) context.lineTo(...view.project(across, up, 0));
  context.stroke();
  context.font = canvasFont(11);
  context.fillStyle = muted;
  context.textBaseline = "middle";
  for (const { at, label } of ticksOf(ground.xs[0]!, ground.xs.at(-1)!, 4)) {
    write(context, view, [x(at), near.y, 0], [x(at), near.y * TICKS, 0], label);
  }
  for (const { at, label } of ticksOf(ground.ys[0]!, ground.ys.at(-1)!, 4)) {
    write(context, view, [near.x, y(at), 0], [near.x * TICKS, y(at), 0], label);
  }
  context.font = canvasFont(12, 600);
  write(context, view, null, [0.27, near.y * (TICKS + 0.04), 0], names.x);
  write(context, view, null, [near.x * (TICKS + 0.04), 0.2, 0], names.y);
  context.restore();
}

function write(context: CanvasRenderingContext2D, view: Camera, edge: Place | null, place: Place, text: string): void {
  const [across, down] = view.project(...place);
  const middle = view.project(0, 0, 0)[0];
  context.textAlign = across < middle - 4 ? "right" : across > middle + 4 ? "left" : "center";
  context.fillText(text, across, down);
  if (!edge) return;
  const [fromX, fromY] = view.project(...edge);
  context.beginPath();
  context.moveTo(fromX, fromY);
  context.lineTo(fromX + 0.4 * (across - fromX), fromY + 0.4 * (down - fromY));
  context.stroke();
}
