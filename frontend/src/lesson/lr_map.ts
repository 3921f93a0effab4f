/** The learning-rate x steps map: how every choice would go, worked out along the two axes of the bowl. */

import { type Line, limitOf, type Problem } from "./problem";
import { ARRIVED, shareOfTheWay } from "./verdict";

export const RATES = { low: 1e-3, high: 10 } as const;
export const MOST_STEPS = 1000;

const ROWS = 128;
const COLUMNS = 110;
const LARGEST = 3.4e38;
export const LONGEST = 100_000;

export interface LessonMap {
  readonly lrs: readonly number[];
  readonly steps: readonly number[];
  /** The loss of each choice, row by row from the smallest rate; NaN where the numbers are gone. */
  readonly losses: Float64Array;
}

/** The numbers of steps of the map's columns: an even ratio apart as far as whole numbers allow. */
export const STEPS: readonly number[] = [
  ...new Set(Array.from({ length: COLUMNS }, (_, column) => Math.round(MOST_STEPS ** (column / (COLUMNS - 1))))),
];

const LRS: readonly number[] = Array.from(
  { length: ROWS },
  (_, row) => RATES.low * (RATES.high / RATES.low) ** ((row + 0.5) / ROWS),
);

/** Return the map of the choices from one start with one momentum. */
export function lessonMap(problem: Problem, start: Line, momentum: number): LessonMap {
  const losses = new Float64Array(LRS.length * STEPS.length);
  LRS.forEach((lr, row) => {
    const walk = walkOf(problem, start, lr, momentum);
    let step = 0;
    STEPS.forEach((steps, column) => {
      for (; step < steps; step += 1) walk.advance();
      losses[row * STEPS.length + column] = walk.loss();
    });
  });
  return { lrs: LRS, steps: STEPS, losses };
}

/**
 * Return the step from which on a descent has arrived for good, or null where it never does, or not surely within a
 * hundred thousand: with momentum it may pass the best line and swing out once more.
 */
export function arrivalOf(problem: Problem, start: Line, lr: number, momentum: number): number | null {
  if (lr >= limitOf(problem, momentum)) return null;
  const walk = walkOf(problem, start, lr, momentum);
  const first = walk.loss();
  const hasArrived = (loss: number) => shareOfTheWay(problem, first, loss) >= ARRIVED;
  let arrival = hasArrived(first) ? 0 : 1;
  for (let step = 1; step <= LONGEST; step += 1) {
    walk.advance();
    if (!hasArrived(walk.loss())) arrival = step + 1;
    else if (hasArrived(walk.highestToCome())) return arrival;
  }
  return null;
}

/**
 * Return a descent worked out in the bowl's own directions, in which the two errors shrink or grow by themselves.
 *
 * With momentum m, curvature c and rate r, the error follows e'' = (1 + m - r c) e' - m e; the loss is the lowest one plus
 * c/2 e^2 of each direction.
 */
function walkOf(problem: Problem, start: Line, lr: number, momentum: number) {
  const { flat, steep, across } = problem.curvatures;
  const [awayW, awayB] = [start.w - problem.leastSquares.w, start.b - problem.leastSquares.b];
  const one = { curvature: steep, error: awayW * across.w + awayB * across.b, before: 0 };
  const other = { curvature: flat, error: awayW * across.b - awayB * across.w, before: 0 };
  const lossAt = (across: number, along: number) =>
    problem.lowestLoss + (one.curvature * across ** 2 + other.curvature * along ** 2) / 2;
  // Before the first step nothing moves, so that the error before it is the same.
  for (const direction of [one, other]) direction.before = direction.error;
  const move = (direction: typeof one) => {
    const next = (1 + momentum - lr * direction.curvature) * direction.error - momentum * direction.before;
    direction.before = direction.error;
    direction.error = next;
  };
  // Single precision runs out when the mistakes, added up over all points, are larger than its largest number.
  const samples = problem.x.length;
  let lost = false;
  return {
    advance() {
      lost ||= samples * Math.max(Math.abs(one.before), Math.abs(one.error)) > LARGEST;
      move(one);
      move(other);
    },
    loss() {
      if (lost || Math.abs(one.error) > LARGEST) return Number.NaN;
      return lossAt(one.error, other.error);
    },
    /**
     * Below the limit: no loss to come is higher. The roots of the recurrence, r and s with |r| <= sqrt(m) and |s| <= 1,
     * answer a push with the sums of r^j s^(n-j) over j, which are at most 1 / (1 - sqrt(m)).
     */
    highestToCome() {
      const [across, along] = [one, other].map(
        ({ error, before }) => (Math.abs(error) + momentum * Math.abs(before)) / (1 - Math.sqrt(momentum)),
      );
      return lossAt(across!, along!);
    },
  };
}
