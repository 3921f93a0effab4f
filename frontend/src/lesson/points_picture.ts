/** The points, the line as the descent has it, and the best one. */

import { written } from "../kit/numbers";
import { lineChart, type Mark } from "../pictures/line_chart";
import { panel } from "./panel";
import type { Line } from "./problem";
import type { Picture } from "./stage";
import type { LessonView } from "./view";

/** How many earlier lines show faintly where the line came from. */
const GHOSTS = 5;
const LABELS_AT = 0.015;
const LABELS_APART = 0.07;
const REACH = 1.75;

/** Make the picture of the points. */
export function pointsPicture(): Picture {
  let view: LessonView | null = null;
  const ghosts = Array.from({ length: GHOSTS }, (_, index) => ({
    label: "earlier",
    colour: "path" as const,
    width: 1,
    opacity: 0.16 + 0.06 * index,
  }));
  const chart = lineChart({
    x: { name: "x", range: () => [-0.02, 1.02] },
    y: { name: "y", range: () => (view ? windowOf(view) : [0, 1]) },
    series: [
      { label: "points", colour: "points", points: 5, opacity: 0.8 },
      ...ghosts,
      { label: "line", colour: "path", width: 2.5 },
      { label: "best line", colour: "least-squares", width: 2, dash: [7, 5] },
    ],
    description: "Points with the line",
    marks: () => (view ? marksOf(view) : []),
  });
  return {
    element: panel("points", "The line so far", chart.element, [
      { label: "after the last step", role: "path" },
      { label: "best line", role: "least-squares", mark: "dashed" },
      { label: "points", role: "points", mark: "dot" },
    ]),
    show(next) {
      view = next;
      const { problem, descent } = next;
      const order = Array.from(problem.x.keys()).sort((one, other) => problem.x[one]! - problem.x[other]!);
      const xs = [-0.02, ...order.map((index) => problem.x[index]!), 1.02];
      const heights = [null, ...order.map((index) => problem.y[index]!), null];
      const last = descent.w.length - 1;
      const earlier = Array.from({ length: GHOSTS }, (_, index) => last - GHOSTS + index);
      const at = (step: number): Line => ({ w: descent.w[step] ?? Number.NaN, b: descent.b[step] ?? Number.NaN });
      const [low, high] = windowOf(next);
      const line = ({ w, b }: Line) => xs.map((x) => drawable(w * x + b, low, high));
      chart.setData(xs, [heights, ...earlier.map((step) => line(at(step))), line(at(last)), line(problem.leastSquares)]);
      const [w, b] = [descent.w[last]!, descent.b[last]!];
      chart.setDescription(
        `${problem.x.length} points and the line y = ${written(w)} x + ${written(b)} after ${last} steps. ` +
          `The best line is y = ${written(problem.leastSquares.w)} x + ${written(problem.leastSquares.b)}.`,
      );
    },
    stop: chart.stop,
  };
}

/** Return heights that show the points and the line at the start, and as much on the other side of them. */
function windowOf({ problem, state }: LessonView): [number, number] {
  const middle = problem.leastSquares.w / 2 + problem.leastSquares.b;
  const ends = [state.b, state.w + state.b, ...problem.y];
  const reach = REACH * Math.max(...ends.map((height) => Math.abs(height - middle)));
  return [middle - reach, middle + reach];
}

/** Cut a height far outside the window, where the cut cannot be seen. */
function drawable(height: number, low: number, high: number): number | null {
  const far = 1e3 * (high - low);
  return Number.isNaN(height) ? null : Math.min(high + far, Math.max(low - far, height));
}

/** Say which line is which while they are few, and where the last one is when it cannot be seen. */
function marksOf(view: LessonView): Mark[] {
  const [low, high] = windowOf(view);
  const last = view.descent.w.length - 1;
  const marks: Mark[] = [];
  // From the last one back: where two would stand on each other, the later line keeps its name.
  for (let step = last; step >= 0 && last <= GHOSTS; step -= 1) {
    const height = view.descent.w[step]! * LABELS_AT + view.descent.b[step]!;
    const isFree = marks.every((mark) => Math.abs(mark.y! - height) > LABELS_APART * (high - low));
    if (isFree && height > low && height < high) marks.push({ role: "path", text: true, x: LABELS_AT, y: height, label: step ? `step ${step}` : "start", below: height > (low + high) / 2 });
  }
  if (isOffPage(view)) marks.push({ role: "path", text: true, x: 0.32, y: high, label: offPage(view) });
  return marks;
}

function endsOf({ descent }: LessonView): [number, number] {
  const [w, b] = [descent.w.at(-1)!, descent.b.at(-1)!];
  return [b, w + b];
}

function isOffPage(view: LessonView): boolean {
  const [left, right] = endsOf(view);
  const [low, high] = windowOf(view);
  return !(Math.max(left, right) >= low && Math.min(left, right) <= high);
}

function offPage(view: LessonView): string {
  const [left, right] = endsOf(view);
  if (!Number.isFinite(left + right)) return "there is no line any more: NaN";
  return left + right > 0 ? "↑ the line is off the page" : "↓ the line is off the page";
}
