/** A path over a surface: along the ground from step to step, as far as it can be seen. */

import { canvasFont, palette } from "../kit/palette";
import type { Camera } from "./camera";
import { boxed, type Ground } from "./ground";

export interface Path {
  readonly x: ArrayLike<number>;
  readonly y: ArrayLike<number>;
}

/** A place with a name, such as the lowest one. */
export interface Pin {
  readonly x: number;
  readonly y: number;
  readonly role: "least-squares" | "ink" | "path";
}

const FEW_STEPS = 60;
const PIXELS = 7;

/** Steps closer together than so many pixels are one dot. */
const APART = 8;
const MOST_PIECES = 24;

/** Draw a path and pins. */
export function drawTrail(context: CanvasRenderingContext2D, view: Camera, ground: Ground, path: Path, pins: readonly Pin[]): void {
  const place = placer(view, ground);
  const line = new Path2D();
  let left: readonly [number, number] | null = null;
  let steps = 0;
  for (let step = 0; step + 1 < path.x.length; step += 1) {
    const piece = insideOf(ground, path, step);
    if (!piece) continue;
    drape(line, place, piece);
    if (piece.leaves) left = place(piece.x1, piece.y1);
    steps = step + 1;
  }
  const colour = palette().path;
  context.save();
  context.lineJoin = "round";
  context.lineCap = "round";
  context.strokeStyle = "rgb(0 0 0 / 45%)";
  context.lineWidth = 3.6;
  context.stroke(line);
  context.strokeStyle = "#fff";
  context.lineWidth = 3;
  context.stroke(line);
  context.strokeStyle = colour;
  context.lineWidth = 1.9;
  context.stroke(line);
  for (const pin of pins) if (isInside(ground, pin.x, pin.y)) dot(context, place(pin.x, pin.y), palette()[pin.role], 4.5);
  drawSteps(context, ground, place, path, Math.min(steps, FEW_STEPS));
  if (left) arrow(context, left, colour);
  context.restore();
}

type Placer = (x: number, y: number) => readonly [number, number];

function placer(view: Camera, ground: Ground): Placer {
  const { x, y, z } = boxed(ground);
  return (across, up) => view.project(x(across), y(up), z(ground.at(across, up)));
}

function drawSteps(context: CanvasRenderingContext2D, ground: Ground, place: Placer, path: Path, steps: number): void {
  const last = path.x.length - 1;
  let before: readonly [number, number] = [-Infinity, -Infinity];
  for (let step = 0; step <= steps; step += 1) {
    const [x, y] = [path.x[step]!, path.y[step]!];
    if (step === last || !isInside(ground, x, y)) continue;
    const here = place(x, y);
    if (Math.hypot(here[0] - before[0], here[1] - before[1]) < APART) continue;
    dot(context, here, palette().path, step === 0 ? 4.5 : 3);
    before = here;
  }
  const [x, y] = [path.x[last]!, path.y[last]!];
  if (isInside(ground, x, y)) dot(context, place(x, y), palette().path, 5.5);
  const start = [path.x[0]!, path.y[0]!] as const;
  if (isInside(ground, ...start)) name(context, place(...start), "start");
}

function dot(context: CanvasRenderingContext2D, [x, y]: readonly [number, number], colour: string, radius: number): void {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.strokeStyle = "#fff";
  context.lineWidth = 1.5;
  context.fill();
  context.stroke();
}

function name(context: CanvasRenderingContext2D, [x, y]: readonly [number, number], text: string): void {
  context.font = canvasFont(11, 600);
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.strokeStyle = "rgb(0 0 0 / 55%)";
  context.lineWidth = 3;
  context.strokeText(text, x - 9, y);
  context.fillStyle = "#fff";
  context.fillText(text, x - 9, y);
}

/** Mark where the path leaves the picture. */
function arrow(context: CanvasRenderingContext2D, [x, y]: readonly [number, number], colour: string): void {
  context.beginPath();
  context.arc(x, y, 4, 0, 2 * Math.PI);
  context.fillStyle = "#fff";
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.fill();
  context.stroke();
}

interface Piece {
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
  readonly leaves: boolean;
}

/** Return the part of a step that lies over the ground, or null. */
function insideOf({ xs, ys }: Ground, { x, y }: Path, step: number): Piece | null {
  const [x0, y0, x1, y1] = [x[step]!, y[step]!, x[step + 1]!, y[step + 1]!];
  // A jump from beyond to beyond would be a line that comes from nowhere.
  if (!isInside({ xs, ys }, x0, y0) && !isInside({ xs, ys }, x1, y1)) return null;
  let [enter, leave] = [0, 1];
  for (const [from, to, low, high] of [[x0, x1, xs[0]!, xs.at(-1)!], [y0, y1, ys[0]!, ys.at(-1)!]] as const) {
    const way = to - from;
    if (way === 0 && (from < low || from > high)) return null;
    if (way === 0) continue;
    const [first, second] = [(low - from) / way, (high - from) / way];
    enter = Math.max(enter, Math.min(first, second));
    leave = Math.min(leave, Math.max(first, second));
  }
  if (!(enter < leave)) return null;
  const at = (from: number, to: number, share: number) => (share === 0 ? from : share === 1 ? to : from + share * (to - from));
  return { x0: at(x0, x1, enter), y0: at(y0, y1, enter), x1: at(x0, x1, leave), y1: at(y0, y1, leave), leaves: leave < 1 };
}

/** Add a piece of path that follows the ground down and up again. */
function drape(line: Path2D, place: Placer, { x0, y0, x1, y1 }: Piece): void {
  const [start, end] = [place(x0, y0), place(x1, y1)];
  const length = Math.hypot(end[0] - start[0], end[1] - start[1]);
  const pieces = Math.max(1, Math.min(MOST_PIECES, Math.round(length / PIXELS)));
  line.moveTo(...start);
  for (let piece = 1; piece <= pieces; piece += 1) {
    const share = piece / pieces;
    line.lineTo(...place(x0 + share * (x1 - x0), y0 + share * (y1 - y0)));
  }
}

function isInside({ xs, ys }: Pick<Ground, "xs" | "ys">, x: number, y: number): boolean {
  return x >= xs[0]! && x <= xs.at(-1)! && y >= ys[0]! && y <= ys.at(-1)!;
}
