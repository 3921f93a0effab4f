/** The loss over weight and bias: a long narrow bowl, with the path that the descent takes in it. */

import { written } from "../kit/numbers";
import { type Ground, surface } from "../pictures/surface";
import { panel } from "./panel";
import { lossAt, type Problem } from "./problem";
import type { Picture } from "./stage";

const REACH = 2.6;
const CELLS = 44;

/** Make the picture of the bowl. */
export function bowlPicture(): Picture {
  const picture = surface({ x: "w", y: "b", description: "The loss over w and b" });
  let shown: Problem | null = null;
  return {
    element: panel("bowl", "The bowl", picture.element, [
      { label: "the path", role: "path" },
      { label: "lowest place", role: "least-squares", mark: "dot" },
    ]),
    show({ problem, descent, state }) {
      if (problem !== shown) picture.setGround(bowl(problem));
      shown = problem;
      const { w, b } = problem.leastSquares;
      picture.setPath({ x: descent.w, y: descent.b }, [{ x: w, y: b, role: "least-squares" }]);
      picture.setDescription(
        `The loss over w and b is a long narrow bowl with its lowest place at w = ${written(w)}, b = ${written(b)}. ` +
          `The path starts at w = ${written(state.w)}, b = ${written(state.b)} and is after ${state.steps} steps at ` +
          `w = ${written(descent.w.at(-1)!)}, b = ${written(descent.b.at(-1)!)}. Arrow keys turn the picture.`,
      );
    },
    stop: picture.stop,
  };
}

function bowl(problem: Problem): Ground {
  const around = (middle: number) => Array.from({ length: CELLS + 1 }, (_, index) => middle + REACH * ((2 * index) / CELLS - 1));
  const [xs, ys] = [around(problem.true.w), around(problem.true.b)];
  const heights = Float64Array.from(ys.flatMap((b) => xs.map((w) => lossAt(problem, w, b))));
  return {
    xs,
    ys,
    heights,
    low: problem.lowestLoss,
    high: Math.max(...heights),
    at: (w, b) => lossAt(problem, w, b),
  };
}
