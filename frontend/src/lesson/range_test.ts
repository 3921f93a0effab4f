/** The range test: a descent whose learning rate rises at every step (Smith 2015; fast.ai's `lr_find`). */

import { count, general, written } from "../kit/numbers";
import { descendAt } from "./descent";
import { arrivalOf, LONGEST, MOST_STEPS } from "./lr_map";
import type { Line, Problem } from "./problem";
import { isBest, roundedUp } from "./verdict";

const LOWEST = 1e-5;
const HIGHEST = 10;
const STEPS = 200;

export interface RangeTest {
  readonly lrs: readonly number[];
  /** The loss before the step at each rate. */
  readonly losses: Float64Array;
  /** The rate at the lowest loss, and that loss. */
  readonly minimum: { readonly lr: number; readonly loss: number };
  /** A tenth of the rate at the minimum: as a rule a good learning rate. */
  readonly tenth: number;
  /** The steps after which a descent at the tenth has arrived; null where it never does, or not soon. */
  readonly arrival: number | null;
  /** Whether it starts at the best line, where there is nothing to find. */
  readonly startsAtBest: boolean;
}

/** Raise the rate from 1e-5 to 10 in 200 steps, by the same factor at each. */
export function rangeTest(problem: Problem, start: Line, momentum: number): RangeTest {
  const lrs = Array.from({ length: STEPS }, (_, step) => LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1)));
  const losses = descendAt(problem, lrs, start, momentum).losses.slice(0, STEPS);
  const at = losses.reduce((best, loss, index) => (loss < losses[best]! ? index : best), 0);
  const tenth = lrs[at]! / 10;
  return {
    lrs,
    losses,
    minimum: { lr: lrs[at]!, loss: losses[at]! },
    tenth,
    arrival: arrivalOf(problem, start, tenth, momentum),
    startsAtBest: isBest(problem, losses[0]!),
  };
}

/** Return whether a tenth of the rate at the minimum is a good choice: it arrives within the steps that there are. */
export function ruleHolds({ arrival, startsAtBest }: RangeTest): boolean {
  return !startsAtBest && arrival !== null && arrival <= MOST_STEPS;
}

/** Say what a range test found, and where the rule of the tenth fails. */
export function rangeSentence(range: RangeTest): string {
  const { minimum, tenth, arrival, startsAtBest } = range;
  if (startsAtBest) return "A range test finds nothing here: it starts at the best line, and the loss cannot fall.";
  const found = `The range test's loss is lowest at a learning rate of ${general(minimum.lr, 3)}`;
  if (ruleHolds(range)) return `${found}; a tenth of that, ${general(tenth, 3)}, is a good choice.`;
  const needed = arrival === null ? `more than ${count(LONGEST)}` : `about ${count(roundedUp(arrival))}`;
  return `${found}. Here the rule fails: a tenth of that, ${written(tenth, 3)}, takes ${needed} steps to arrive.`;
}
