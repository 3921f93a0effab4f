/** Curves as columns over one axis that they share, as the chart wants them. */

import type { RunCurve } from "../contract";

type Value = number | null;

export interface Columns {
  xs: number[];
  /** For each curve its losses, their level where they are noisy, and its evaluations. */
  losses: Value[][];
  levels: Value[][];
  evaluations: Value[][];
}

/** Put curves over the steps, as `overOneAxis` does.
 *
 * @param keep - which values can be drawn, such as those above zero on a logarithmic axis.
 */
export function columnsOf(
  curves: readonly RunCurve[],
  keep: { x(value: number): boolean; y(value: number): boolean },
): Columns {
  const losses = curves.map((curve) => drawable(curve.steps, curve.losses, keep));
  const levels = curves.map((curve) => drawable(curve.steps, curve.smoothed ?? curve.losses, keep));
  const evaluations = curves.map((curve) => drawable(curve.evaluated_at, curve.evaluations, keep));
  const { xs, lines, points } = overOneAxis([...losses, ...levels], evaluations);
  return { xs, losses: lines.slice(0, curves.length), levels: lines.slice(curves.length), evaluations: points };
}

export type Point = readonly [x: number, y: Value];

/** Put lines and points over one axis. Between two of its own places a line goes straight; beyond its ends it is nowhere. */
export function overOneAxis(
  lines: readonly (readonly Point[])[],
  points: readonly (readonly Point[])[] = [],
): { xs: number[]; lines: Value[][]; points: Value[][] } {
  const places = [...lines, ...points].flatMap((line) => line.map(([x]) => x));
  const xs = [...new Set(places)].sort((one, other) => one - other);
  const index = new Map(xs.map((x, place) => [x, place]));
  return {
    xs,
    lines: lines.map((line) => lineOver(xs, index, line)),
    points: points.map((line) => pointsOver(xs, index, line)),
  };
}

function drawable(
  xs: readonly Value[],
  ys: readonly Value[],
  keep: { x(value: number): boolean; y(value: number): boolean },
): Point[] {
  const points: Point[] = [];
  xs.forEach((x, place) => {
    if (x === null || !keep.x(x)) return;
    const y = ys[place] ?? null;
    points.push([x, y !== null && keep.y(y) ? y : null]);
  });
  return points;
}

function pointsOver(xs: readonly number[], index: ReadonlyMap<number, number>, points: readonly Point[]): Value[] {
  const column = new Array<Value>(xs.length).fill(null);
  for (const [x, y] of points) column[index.get(x)!] = y;
  return column;
}

function lineOver(xs: readonly number[], index: ReadonlyMap<number, number>, points: readonly Point[]): Value[] {
  const column = pointsOver(xs, index, points);
  points.slice(1).forEach(([right, high], place) => {
    const [left, low] = points[place]!;
    if (low === null || high === null) return;
    for (let between = index.get(left)! + 1; between < index.get(right)!; between += 1) {
      column[between] = low + ((high - low) * (xs[between]! - left)) / (right - left);
    }
  });
  return column;
}
