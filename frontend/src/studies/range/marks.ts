/** How the suggestions of a range test are marked, with the colours and the shapes of the still picture. */

import type { Role } from "../../kit/palette";
import type { Mark, Shape } from "../../pictures/marks";
import type { StudyRangeTest, Suggestion } from "../contract";

export interface Look {
  role: Role;
  shape: Shape;
}

const LOOKS: Record<string, Look> = {
  minimum: { role: "series-2", shape: "circle" },
  steepest: { role: "series-3", shape: "triangle" },
  valley: { role: "series-5", shape: "diamond" },
  slide: { role: "series-4", shape: "square" },
};
const UNKNOWN: Look = { role: "series-6", shape: "circle" };
const LARGE = 6.5;
const SMALL = 5;

const ENDINGS: Record<StudyRangeTest["stopped"], string> = { completed: "", diverged: "diverged", non_finite: "not finite" };

/** A suggestion that names a rate. */
export type Found = Suggestion & { lr: number; low: number; high: number; level: number };

/** Return how a rule is marked. */
export function lookOf(rule: string): Look {
  return LOOKS[rule] ?? UNKNOWN;
}

/** Return the suggestions that name a rate. */
export function foundOf(test: StudyRangeTest): Found[] {
  return test.suggestions.filter(
    (told): told is Found => told.lr !== null && told.low !== null && told.high !== null && told.level !== null,
  );
}

/** Return the rates between which to look: those of the test, with room for its ending where it had one. */
export function ratesOf(test: StudyRangeTest): readonly [low: number, high: number] {
  const lrs = test.repeats.flatMap((repeat) => repeat.lrs);
  const first = Math.min(...lrs, ...foundOf(test).map((told) => told.lr));
  const last = Math.max(...lrs);
  if (first === last) return [first, 100 * first];
  const ratio = last / first;
  return [first / ratio ** 0.02, last * ratio ** (test.stopped === "completed" ? 0.02 : 0.08)];
}

/** Return the marks of a range test: where it ended, and what each rule suggests. */
export function marksOf(test: StudyRangeTest): Mark[] {
  const found = foundOf(test);
  // Another rule's smaller mark at the same rate is seen on top of the chosen one.
  const dots = [...found.filter((told) => told.chosen), ...found.filter((told) => !told.chosen)];
  return [...endingOf(test), ...found.filter((told) => told.chosen).map(lineAt), ...dots.map(dotAt)];
}

function endingOf(test: StudyRangeTest): Mark[] {
  if (test.stopped === "completed") return [];
  const interval = [test.stopped_at, ratesOf(test)[1]] as const;
  return [{ role: "diverged", x: test.stopped_at, dashed: true, interval, label: ENDINGS[test.stopped], at: "bottom" }];
}

function lineAt({ rule, lr, low, high }: Found): Mark {
  return { role: lookOf(rule).role, x: lr, interval: [low, high] };
}

function dotAt({ rule, lr, low, high, level, chosen }: Found): Mark {
  const radius = chosen ? LARGE : SMALL;
  return { ...lookOf(rule), x: lr, y: level, radius, ...(!chosen && { interval: [low, high] as const }) };
}
