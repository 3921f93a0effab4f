/** Gradient descent in single precision, operation by operation as NumPy does it in `lrscout.lesson.engines`. */

import { type Line, lossAt, type Problem } from "./problem";

const { fround } = Math;

export interface Descent {
  /** Weight and bias at the start and after each step. */
  readonly w: Float32Array;
  readonly b: Float32Array;
  /** The loss at each position, in double precision; NaN where a position is not finite. */
  readonly losses: Float64Array;
}

export interface Choice {
  readonly lr: number;
  readonly steps: number;
  readonly start: Line;
  readonly momentum: number;
}

/** Take steps at one learning rate and note the path. */
export function descend(problem: Problem, { lr, steps, start, momentum }: Choice): Descent {
  return descendAt(problem, Array.from<number>({ length: steps }).fill(lr), start, momentum);
}

/** Take a step at each of some learning rates and note the path. The update is PyTorch's: v = m v + g, w -= lr v. */
export function descendAt(problem: Problem, lrs: ArrayLike<number>, start: Line, momentum: number): Descent {
  const w = new Float32Array(lrs.length + 1);
  const b = new Float32Array(lrs.length + 1);
  const losses = new Float64Array(lrs.length + 1);
  const slopes = slopesOf(problem);
  const keep = fround(momentum);
  let [speedW, speedB] = [0, 0];
  [w[0], b[0]] = [start.w, start.b];
  losses[0] = seenLoss(problem, w[0]!, b[0]!);
  for (let step = 0; step < lrs.length; step += 1) {
    const lr = fround(lrs[step]!);
    const [slopeW, slopeB] = slopes(w[step]!, b[step]!);
    speedW = fround(fround(keep * speedW) + slopeW);
    speedB = fround(fround(keep * speedB) + slopeB);
    w[step + 1] = w[step]! - fround(lr * speedW);
    b[step + 1] = b[step]! - fround(lr * speedB);
    losses[step + 1] = seenLoss(problem, w[step + 1]!, b[step + 1]!);
  }
  return { w, b, losses };
}

function seenLoss(problem: Problem, w: number, b: number): number {
  return Number.isFinite(w) && Number.isFinite(b) ? lossAt(problem, w, b) : Number.NaN;
}

/** Return the function that gives the slope of the loss at a line, along the weight and along the bias. */
function slopesOf({ x, y }: Problem): (w: number, b: number) => readonly [number, number] {
  const mistakes = new Float32Array(x.length);
  const byX = new Float32Array(x.length);
  return (w, b) => {
    for (let index = 0; index < x.length; index += 1) {
      mistakes[index] = fround(fround(w * x[index]!) + b) - y[index]!;
      byX[index] = mistakes[index]! * x[index]!;
    }
    return [fround(2 * mean(byX)), fround(2 * mean(mistakes))];
  };
}

function mean(values: Float32Array): number {
  return fround(sum(values, 0, values.length) / values.length);
}

const LANES = 8;
const BLOCK = 128;

/**
 * Add up numbers in single precision in the order in which NumPy does, for in single precision the order shows.
 *
 * Source: `pairwise_sum` in numpy/_core/src/umath/loops_utils.h.src.
 */
function sum(values: Float32Array, start: number, count: number): number {
  if (count < LANES) return addUp(values, start, count, 0);
  if (count > BLOCK) {
    const half = Math.floor(count / 2) - (Math.floor(count / 2) % LANES);
    return fround(sum(values, start, half) + sum(values, start + half, count - half));
  }
  const lanes = values.slice(start, start + LANES);
  const whole = count - (count % LANES);
  for (let index = LANES; index < whole; index += 1) lanes[index % LANES]! += values[start + index]!;
  const pairs = [0, 2, 4, 6].map((lane) => fround(lanes[lane]! + lanes[lane + 1]!)) as [number, number, number, number];
  const total = fround(fround(pairs[0] + pairs[1]) + fround(pairs[2] + pairs[3]));
  return addUp(values, start + whole, count - whole, total);
}

function addUp(values: Float32Array, start: number, count: number, first: number): number {
  let total = first;
  for (let index = start; index < start + count; index += 1) total = fround(total + values[index]!);
  return total;
}
