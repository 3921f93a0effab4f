/** What the pictures show for a choice; what a choice leaves as it was is kept, not worked out again. */

import { type LessonMap, lessonMap } from "./lr_map";
import { type Draw, type Problem, problemOf } from "./problem";
import { type RangeTest, rangeTest } from "./range_test";
import { type Run, runOf } from "./run";
import type { State } from "./state";

export interface LessonView extends Run {
  readonly state: State;
  readonly problem: Problem;
  readonly map: LessonMap;
  /** Worked out only while it is looked at. */
  readonly range: RangeTest | null;
}

/** Return the function from choices to views of a draw. */
export function viewsOf(draw: Draw): (state: State) => LessonView {
  const problemFor = kept((noise: number) => problemOf(draw, noise));
  const mapFor = kept((problem: Problem, w: number, b: number, momentum: number) => lessonMap(problem, { w, b }, momentum));
  const rangeFor = kept((problem: Problem, w: number, b: number, momentum: number) => rangeTest(problem, { w, b }, momentum));
  return (state) => {
    const { lr, steps, w, b, noise, momentum } = state;
    const problem = problemFor(noise);
    return {
      state,
      problem,
      ...runOf(problem, { lr, steps, start: { w, b }, momentum }),
      map: mapFor(problem, w, b, momentum),
      range: state.look === "range" ? rangeFor(problem, w, b, momentum) : null,
    };
  };
}

/** Return a function that gives its last result again while it is asked the same. */
function kept<Arguments extends readonly unknown[], Result>(of: (...given: Arguments) => Result): (...given: Arguments) => Result {
  let last: { given: Arguments; result: Result } | null = null;
  return (...given) => {
    if (!last || given.some((argument, index) => argument !== last!.given[index])) last = { given, result: of(...given) };
    return last.result;
  };
}
