/** Curves as columns over one axis that they share, as the chart wants them. */

import type { RunCurve } from "../contract";

type Value = number | null;

export interface Columns {
  xs: number[];
  /** For each curve its losses, then for each curve its evaluations. */
  losses: Value[][];
  evaluations: Value[][];
}

/** What of a curve goes along the axis: its steps, or the rates of a range test. */
export type Along = (curve: RunCurve) => readonly Value[];

export const steps: Along = (curve) => curve.steps;
export const rates: Along = (curve) => curve.lrs;

/** Put curves over one axis. Between two of its own places a curve goes straight; beyond its ends it is nowhere.
 *
 * @param keep - which values can be drawn, such as those above zero on a logarithmic axis.
 */
export function columnsOf(
  curves: readonly RunCurve[],
  along: Along,
  keep: { x(value: number): boolean; y(value: number): boolean },
): Columns {
  const lines = curves.map((curve) => drawable(along(curve), curve.losses, keep));
  const points = curves.map((curve) => (along === steps ? drawable(curve.evaluated_at, curve.evaluations, keep) : []));
  const places = [...lines, ...points].flatMap((line) => line.map(([x]) => x));
  const xs = [...new Set(places)].sort((one, other) => one - other);
  const index = new Map(xs.map((x, place) => [x, place]));
  return {
    xs,
    losses: lines.map((line) => lineOver(xs, index, line)),
    evaluations: points.map((line) => pointsOver(xs, index, line)),
  };
}

type Point = readonly [x: number, y: Value];

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
