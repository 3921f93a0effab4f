/** Between which losses to look, so that an explosion does not flatten all that came before it. */

import type { RunCurve } from "../contract";

export interface Window {
  low: number;
  high: number;
}

/** How far above the start losses are still drawn, in heights of the fall. */
const ABOVE_START = 0.35;
const MARGIN = 0.05;

/** Return the window of some curves.
 *
 * @param drawn - the losses that are drawn, and evaluations.
 * @param logarithmic - whether the axis is logarithmic, and so every loss above zero.
 */
export function windowOf(curves: readonly RunCurve[], drawn: readonly (readonly (number | null)[])[], logarithmic: boolean): Window {
  const values = drawn.flat().filter((value) => value !== null);
  const starts = curves.flatMap((curve) => curve.losses.slice(0, 1)).filter((value) => value !== null);
  if (values.length === 0) return logarithmic ? { low: 0.1, high: 1 } : { low: 0, high: 1 };
  const lowest = least(values);
  const forth = logarithmic ? Math.log : (value: number): number => value;
  const back = logarithmic ? Math.exp : (value: number): number => value;
  const start = forth(median(starts));
  const bottom = forth(lowest);
  const top = Math.min(forth(-least(values.map((value) => -value))), start + ABOVE_START * (start - bottom));
  const high = Math.max(top, start, bottom);
  const span = high - bottom || Math.abs(high) || 1;
  return { low: back(bottom - MARGIN * span), high: back(high + MARGIN * span) };
}

function least(values: readonly number[]): number {
  return values.reduce((least, value) => Math.min(least, value), Infinity);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[sorted.length >> 1] ?? 0;
}
