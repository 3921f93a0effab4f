/** How a descent went: in a word or two, as `lrscout.lesson.descent` has them, and in a sentence. */

import { count, counted, fixed, general, percentage, written } from "../kit/numbers";
import type { Descent } from "./descent";
import type { Problem } from "./problem";

export type Words = "arrived" | "close" | "on its way" | "too slow" | "jumps away" | "NaN";

/** The share of the way, in loss, from which on each word fits. */
export const ARRIVED = 0.999;
const REACHED: readonly (readonly [number, Words])[] = [
  [ARRIVED, "arrived"],
  [0.5, "close"],
  [0.05, "on its way"],
  [0, "too slow"],
];

const AT_LIMIT = 0.002;
const LARGE = 1000;

/** Return the share of the loss above the lowest one that a run has got rid of, at most 1. */
export function shareOfTheWay(first: number, last: number, lowest: number): number {
  const way = first - lowest;
  return way > 0 ? (first - last) / way : Number(last <= first);
}

/** Say in a word or two how a run ended that began and ended at these losses. */
export function wordsFor(first: number, last: number, lowest: number): Words {
  if (Number.isNaN(last)) return "NaN";
  const share = shareOfTheWay(first, last, lowest);
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
  /** The first step at which a descent at this rate has arrived; null where it never does, or not soon. */
  readonly arrival: number | null;
}

/** Judge a descent. */
export function verdictOf(facts: Facts): Verdict {
  const { problem, descent } = facts;
  const words = wordsFor(descent.losses[0]!, descent.losses.at(-1)!, problem.lowestLoss);
  return { words, sentence: sentenceFor(words, facts), detail: detailFor(words, facts) };
}

function sentenceFor(words: Words, facts: Facts): string {
  const { lr, limit, momentum, arrival, descent } = facts;
  const steps = descent.w.length - 1;
  const rate = written(lr);
  const edge = `the limit ${general(limit, 3)}`;
  if (Math.abs(lr / limit - 1) < AT_LIMIT) return `${rate} is at ${edge}: it jumps from side to side without coming closer.`;
  if (lr > limit) {
    const how = momentum > 0 ? "the swings grow" : "every step lands farther away";
    if (words !== "NaN") return `${rate} is above ${edge}: ${how}; no number of steps will help.`;
    return `${rate} is above ${edge}: ${how}, until the numbers overflow and become NaN.`;
  }
  const below = `${rate} is below ${edge}`;
  if (words === "arrived") return `${below}: after ${counted(steps, "step")} it has arrived at the best line.`;
  if (words === "jumps away") return `${below}: it swings far out at first and comes back; give it more steps.`;
  const needed = arrival === null ? "" : `; about ${count(roundedUp(arrival))} would arrive`;
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
  if (words === "jumps away") return `${here}; ${best}.`;
  if (words === "arrived" && arrival !== null && arrival < steps) return `${here}; ${best}. It was there after ${count(arrival)}.`;
  const share = shareOfTheWay(descent.losses[0]!, descent.losses[steps]!, problem.lowestLoss);
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
function roundedUp(steps: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(steps)) - 1);
  return Math.ceil(steps / unit) * unit;
}
