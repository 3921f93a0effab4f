/** How a descent went: in a word or two, as `lrscout.lesson.descent` has them, and in a sentence. */

import { count, counted, fixed, general, percentage, written } from "../kit/numbers";
import type { Descent } from "./descent";
import type { Problem } from "./problem";

export type Words = "arrived" | "close" | "on its way" | "too slow" | "jumps away" | "NaN";

/** The share of the way, in loss, from which on each word fits. */
export const ARRIVED = 0.99999;
const REACHED: readonly (readonly [number, Words])[] = [
  [ARRIVED, "arrived"],
  [0.5, "close"],
  [0.05, "on its way"],
  [0, "too slow"],
];

const AT_LIMIT = 0.002;
const LARGE = 1000;

/** Return whether a loss is the lowest there is, as far as single precision can tell. */
export function isBest({ lowestLoss, rounding }: Problem, loss: number): boolean {
  return loss - lowestLoss <= rounding;
}

/**
 * Return the share of the loss above the lowest one that a run has got rid of, at most 1.
 *
 * A run that starts at the best line has no way to go: it is there, or it has left for nothing.
 */
export function shareOfTheWay(problem: Problem, first: number, last: number): number {
  if (isBest(problem, first)) return isBest(problem, last) ? 1 : Number.NEGATIVE_INFINITY;
  return (first - last) / (first - problem.lowestLoss);
}

/** Say in a word or two how a run ended that began and ended at these losses. */
export function wordsFor(problem: Problem, first: number, last: number): Words {
  if (Number.isNaN(last)) return "NaN";
  const share = shareOfTheWay(problem, first, last);
  return REACHED.find(([reached]) => share >= reached)?.[1] ?? "jumps away";
}

export interface Verdict {
  readonly words: Words;
  /** The sentence. */
  readonly sentence: string;
  /** Where it stands, in numbers. */
  readonly detail: string;
}

export interface Facts {
  readonly problem: Problem;
  readonly descent: Descent;
  readonly lr: number;
  readonly momentum: number;
  readonly limit: number;
  /** The step from which on a descent at this rate has arrived for good; null where it never does, or not soon. */
  readonly arrival: number | null;
}

/** Judge a descent. */
export function verdictOf(facts: Facts): Verdict {
  const { problem, descent } = facts;
  const words = wordsFor(problem, descent.losses[0]!, descent.losses.at(-1)!);
  return { words, sentence: sentenceFor(words, facts), detail: detailFor(words, facts) };
}

function sentenceFor(words: Words, facts: Facts): string {
  const { problem, lr, limit, momentum, arrival, descent } = facts;
  const steps = descent.w.length - 1;
  const rate = written(lr);
  const edge = `the limit ${general(limit, 3)}`;
  if (isBest(problem, descent.losses[0]!)) {
    if (words === "arrived") return "It starts at the best line: there is nothing to do.";
    return `It starts at the best line, but ${rate} is above ${edge}: even the errors of rounding grow.`;
  }
  if (Math.abs(lr / limit - 1) < AT_LIMIT) return `${rate} is at ${edge}: it jumps from side to side without coming closer.`;
  if (lr > limit) {
    const how = momentum > 0 ? "the swings grow" : "every step lands farther away";
    if (words !== "NaN") return `${rate} is above ${edge}: ${how}; no number of steps will help.`;
    return `${rate} is above ${edge}: ${how}, until the numbers overflow and become NaN.`;
  }
  const below = `${rate} is below ${edge}`;
  const later = arrival !== null && arrival > steps ? arrival : null;
  if (words === "arrived") {
    if (later !== null) return `${below}: after ${counted(steps, "step")} it just passes the best line; about ${count(roundedUp(later))} would stay there.`;
    return `${below}: after ${counted(steps, "step")} it has arrived at the best line.`;
  }
  const needed = later === null ? "" : `; about ${count(roundedUp(later))} would arrive`;
  if (words === "jumps away") return `${below}: it swings far out at first and comes back${needed || "; give it more steps"}.`;
  if (words === "close") return `${below}: after ${counted(steps, "step")} it is close${needed}.`;
  if (words === "on its way") return `${below}: after ${counted(steps, "step")} it is on its way${needed}.`;
  return `${below}, but too small for ${counted(steps, "step")}${needed}.`;
}

function detailFor(words: Words, { problem, descent, arrival }: Facts): string {
  const steps = descent.w.length - 1;
  const { w, b } = problem.leastSquares;
  const best = `the best line has w = ${number(w)}, b = ${number(b)}`;
  if (words === "NaN") return `The numbers were gone after ${counted(firstLost(descent), "step")}; ${best}.`;
  const here = `After ${counted(steps, "step")}: w = ${number(descent.w[steps]!)}, b = ${number(descent.b[steps]!)}`;
  if (words === "arrived" && arrival !== null && arrival > 0 && arrival < steps) return `${here}; ${best}. It was there after ${count(arrival)}.`;
  if (words === "arrived" || words === "jumps away") return `${here}; ${best}.`;
  const share = shareOfTheWay(problem, descent.losses[0]!, descent.losses[steps]!);
  return `${here}; ${best}. ${percentage(share)} of the way in loss.`;
}

/** Write a number with three decimals; a large one with its power of ten. */
export function number(value: number): string {
  if (Math.abs(value) >= LARGE) return written(value, 2);
  return fixed(value, Math.abs(value) < LARGE / 10 ? 3 : 1);
}

/** Return the first step after which the numbers were not finite. */
function firstLost({ losses }: Descent): number {
  return losses.findIndex(Number.isNaN);
}

/** Round a number of steps to two digits, up: it is a promise. */
export function roundedUp(steps: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(steps)) - 1);
  return Math.ceil(steps / unit) * unit;
}
