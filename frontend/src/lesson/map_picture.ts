/** Every choice at once: learning rate against steps, coloured by where each ends. */

import { general } from "../kit/numbers";
import { heatmap, type MapName } from "../pictures/heatmap";
import { contour } from "../pictures/contours";
import { regionPlaces } from "../pictures/regions";
import { type LessonMap, MOST_STEPS, RATES } from "./lr_map";
import { panel } from "./panel";
import type { Problem } from "./problem";
import type { Picture } from "./stage";
import { type State, within } from "./state";
import { ARRIVED, shareOfTheWay, wordsFor } from "./verdict";
import type { LessonView } from "./view";

const DARKEST = 1e-3;
const STEP_FACTOR = 1.08;
const RATE_FACTOR = 10 ** (1 / 24);

/** Make the map. */
export function mapPicture(change: (choice: Partial<State>) => void): Picture {
  let view: LessonView | null = null;
  const picture = heatmap({
    x: "steps",
    y: "learning rate",
    description: "Map of learning rate against steps",
    onPick: (steps, lr) => change({ lr: within("lr", rounded(lr), RATES.low), steps: within("steps", steps, 1) }),
    onStep(right, up) {
      if (!view) return;
      const { lr, steps } = view.state;
      const further = right > 0 ? Math.max(steps + 1, steps * STEP_FACTOR) : Math.min(steps - 1, steps / STEP_FACTOR);
      change(right ? { steps: within("steps", further, steps) } : { lr: within("lr", rounded(lr * RATE_FACTOR ** up), lr) });
    },
  });
  let shown: { map: LessonMap; limit: number } | null = null;
  return {
    element: panel("map", "Every choice at once", picture.element, [
      { label: "loss, low to high", role: "ink", mark: "valley" },
      { label: "above the start", role: "worse", mark: "patch" },
    ]),
    show(next) {
      view = next;
      if (shown?.map !== next.map) picture.setContent(contentOf(next));
      shown = { map: next.map, limit: next.limit };
      picture.setCross(next.state.steps, next.state.lr);
      picture.setDescription(
        `Map of learning rates from ${RATES.low} to ${RATES.high} against 1 to ${MOST_STEPS} steps. Above the limit ` +
          `${general(next.limit, 3)} no number of steps helps. The choice is ${general(next.state.lr, 3)} for ` +
          `${next.state.steps} steps: ${next.verdict.words}. Arrow keys move it.`,
      );
    },
    stop: picture.stop,
  };
}

function rounded(lr: number): number {
  return Number(lr.toPrecision(2));
}

function contentOf({ map, problem, descent, limit }: LessonView) {
  const first = descent.losses[0]!;
  // What single precision cannot tell from the best is as good, not above the start.
  const best = problem.lowestLoss + problem.rounding;
  const low = Math.max(problem.lowestLoss, DARKEST * first, problem.rounding);
  const high = Math.max(first, 2 * low);
  return {
    grid: { xs: map.steps, ys: map.lrs, values: map.losses, low, high, logarithmic: true, worseThan: Math.max(first, best) },
    lines: [{ ys: limit, role: "limit" as const, dashed: true, label: `limit ${general(limit, 3)}` }],
    names: namesOf(map, problem, first),
    outlines: [contour(sharesKept(map, problem, first), map.steps.length, ARRIVED)],
  };
}

/** Return the share of the way below which a run never falls again: with momentum it may swing out once more. */
function sharesKept({ losses, steps }: LessonMap, problem: Problem, first: number): Float64Array {
  const kept = Float64Array.from(losses, (loss) => shareOfTheWay(problem, first, loss));
  for (let cell = kept.length - 2; cell >= 0; cell -= 1) {
    if ((cell + 1) % steps.length) kept[cell] = Math.min(kept[cell]!, kept[cell + 1]!);
  }
  return kept;
}

/** Return where values lie along a logarithmic axis, from 0 to 1. */
function shares(values: readonly number[]): number[] {
  const [first, last] = [Math.log(values[0]!), Math.log(values.at(-1)!)];
  return values.map((value) => (Math.log(value) - first) / (last - first));
}

/** Name each region where it has the most room. */
function namesOf(map: LessonMap, problem: Problem, first: number): MapName[] {
  const words = Array.from(map.losses, (loss) => wordsFor(problem, first, loss));
  return regionPlaces(words, shares(map.steps), shares(map.lrs)).map(({ column, row, kind }) => ({
    x: map.steps[column]!,
    y: map.lrs[row]!,
    text: kind,
  }));
}
