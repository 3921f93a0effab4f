/** One run of the lesson: where it goes, and how that is judged. */

import { type Choice, type Descent, descend } from "./descent";
import { arrivalOf } from "./lr_map";
import { limitOf, type Problem } from "./problem";
import { type Verdict, verdictOf } from "./verdict";

export interface Run {
  readonly descent: Descent;
  /** The learning rate above which no number of steps helps. */
  readonly limit: number;
  readonly verdict: Verdict;
}

/** Run a descent and judge it. */
export function runOf(problem: Problem, choice: Choice): Run {
  const { lr, start, momentum } = choice;
  const descent = descend(problem, choice);
  const limit = limitOf(problem, momentum);
  const arrival = arrivalOf(problem, start, lr, momentum);
  return { descent, limit, verdict: verdictOf({ problem, descent, lr, momentum, limit, arrival }) };
}
