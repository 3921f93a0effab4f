/** What is drawn on a map: its cells, the lines on them, and the cross-hair. */

import { palette, type Role } from "../kit/palette";
import { type Box, boxInside } from "./axes";
import { edgesOf, type Grid, imageOf } from "./cells";
import type { Segment } from "./contours";
import { type Scale, scaleBetween } from "./scale";
import type { Sheet } from "./sheet";

export interface MapLine {
  /** A rate (a level line), or rates at steps (a track; NaN leaves a gap). */
  readonly xs?: readonly number[];
  readonly ys: readonly number[] | number;
  readonly role: Role;
  readonly label?: string;
  readonly dashed?: boolean;
  /** Where tracks have ranges: from low to high at each x. */
  readonly lows?: readonly number[];
  readonly highs?: readonly number[];
}

export interface MapName {
  readonly x: number;
  readonly y: number;
  readonly text: string;
}

/** Where the cells lie on a sheet. */
export interface Frame {
  readonly box: Box;
  readonly x: Scale;
  readonly y: Scale;
}

/** Return where the cells of a grid lie on a sheet. */
export function frameOf({ width, height }: Sheet, grid: Grid): Frame {
  const box = boxInside(width, height);
  const [columns, rows] = [edgesOf(grid.xs), edgesOf(grid.ys)];
  return {
    box,
    x: scaleBetween(columns[0]!, columns.at(-1)!, box.left, box.right, true),
    y: scaleBetween(rows[0]!, rows.at(-1)!, box.bottom, box.top, true),
  };
}

/** Draw the cells. */
export function drawCells(context: CanvasRenderingContext2D, frame: Frame, grid: Grid, ratio: number): void {
  const { left, top, right, bottom } = frame.box;
  const image = imageOf(grid, frame.x, frame.y, frame.box, ratio);
  context.save();
  context.imageSmoothingEnabled = false;
  context.drawImage(image, left, top, right - left, bottom - top);
  context.restore();
}

/** Draw a line between cells. */
export function drawOutline(context: CanvasRenderingContext2D, { x, y }: Frame, { xs, ys }: Grid, outline: readonly Segment[]): void {
  const [across, up] = [xs.map(x.place), ys.map(y.place)];
  context.beginPath();
  for (const [x0, y0, x1, y1] of outline) {
    context.moveTo(between(across, x0), between(up, y0));
    context.lineTo(between(across, x1), between(up, y1));
  }
  context.strokeStyle = "rgb(255 255 255 / 85%)";
  context.lineWidth = 1.25;
  context.stroke();
}

/** Return the place of an index with a fraction. */
function between(places: readonly number[], index: number): number {
  const first = Math.min(Math.floor(index), places.length - 2);
  return places[first]! + (index - first) * (places[first + 1]! - places[first]!);
}

/** Draw a level line or a track. */
export function drawLine(context: CanvasRenderingContext2D, frame: Frame, line: MapLine): void {
  const { box, x, y } = frame;
  const { ys, xs = [x.low, x.high], lows, highs } = line;
  const heights = typeof ys === "number" ? xs.map(() => ys) : ys;
  context.save();
  context.beginPath();
  context.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  context.clip();
  context.lineJoin = "round";
  context.beginPath();
  let down = false;
  heights.forEach((height, index) => {
    const there = Number.isFinite(height);
    if (there && down) context.lineTo(x.place(xs[index]!), y.place(height));
    else if (there) context.moveTo(x.place(xs[index]!), y.place(height));
    down = there;
    if (lows && highs && Number.isFinite(lows[index]!) && Number.isFinite(highs[index]!)) {
      context.moveTo(x.place(xs[index]!), y.place(lows[index]!));
      context.lineTo(x.place(xs[index]!), y.place(highs[index]!));
      context.moveTo(x.place(xs[index]!), y.place(height));
    }
  });
  // In two tones, to be seen on every colour of the map.
  context.strokeStyle = "rgb(0 0 0 / 45%)";
  context.lineWidth = 3.5;
  context.stroke();
  context.strokeStyle = palette()[line.role];
  context.lineWidth = 1.75;
  if (line.dashed) context.setLineDash([6, 4]);
  context.stroke();
  context.restore();
}

/** Return the place of a choice on the map, at its edge where it lies beyond. */
function placeOn({ box, x, y }: Frame, at: number, level: number): readonly [across: number, up: number] {
  const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));
  return [clamp(x.place(at), box.left, box.right), clamp(y.place(level), box.top, box.bottom)];
}

/** Draw the hairs of the cross-hair. */
export function drawHairs(context: CanvasRenderingContext2D, frame: Frame, at: number, level: number): void {
  const { box } = frame;
  const [across, up] = placeOn(frame, at, level);
  context.beginPath();
  context.moveTo(box.left, up);
  context.lineTo(box.right, up);
  context.moveTo(across, box.top);
  context.lineTo(across, box.bottom);
  for (const [colour, width] of [["rgb(0 0 0 / 55%)", 3], ["rgb(255 255 255 / 90%)", 1]] as const) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }
}

/** Draw the dot in the middle of the cross-hair. */
export function drawDot(context: CanvasRenderingContext2D, frame: Frame, at: number, level: number): void {
  const [across, up] = placeOn(frame, at, level);
  context.beginPath();
  context.arc(across, up, 5.5, 0, 2 * Math.PI);
  context.fillStyle = palette().path;
  context.fill();
  context.strokeStyle = "white";
  context.lineWidth = 2;
  context.stroke();
}
