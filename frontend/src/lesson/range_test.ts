/** The range test: a descent whose learning rate rises at every step (Smith 2015; fast.ai's `lr_find`). */

import { descendAt } from "./descent";
import type { Line, Problem } from "./problem";

const LOWEST = 1e-5;
const HIGHEST = 10;
const STEPS = 200;

export interface RangeTest {
  readonly lrs: readonly number[];
  /** The loss before the step at each rate. */
  readonly losses: Float64Array;
  /** The rate at the lowest loss, and that loss. */
  readonly minimum: { readonly lr: number; readonly loss: number };
  /** A tenth of the rate at the minimum: a good learning rate. */
  readonly tenth: number;
}

/** Raise the rate from 1e-5 to 10 in 200 steps, by the same factor at each. */
export function rangeTest(problem: Problem, start: Line, momentum: number): RangeTest {
  const lrs = Array.from({ length: STEPS }, (_, step) => LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1)));
  const losses = descendAt(problem, lrs, start, momentum).losses.slice(0, STEPS);
  const at = losses.reduce((best, loss, index) => (loss < losses[best]! ? index : best), 0);
  return { lrs, losses, minimum: { lr: lrs[at]!, loss: losses[at]! }, tenth: lrs[at]! / 10 };
}
