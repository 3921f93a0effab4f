/** The loss after each step, or against the rising rate of a range test. */

import { element } from "../kit/element";
import { written } from "../kit/numbers";
import { lineChart, type Mark } from "../pictures/line_chart";
import { panel } from "./panel";
import { rangeSentence, ruleHolds } from "./range_test";
import type { Picture } from "./stage";
import type { Look, State } from "./state";
import type { LessonView } from "./view";

const BELOW_LOWEST = 0.4;
const ABOVE_START = 40;
const ABOVE_LOW = 1000;
const FAR_ABOVE = 4;
const LOOKS: readonly (readonly [Look, string])[] = [
  ["steps", "each step"],
  ["range", "range test"],
];

/** Make the picture of the loss. */
export function lossPicture(change: (choice: Partial<State>) => void): Picture {
  let view: LessonView | null = null;
  const y = { name: "loss", logarithmic: true, range: () => (view ? windowOf(view) : ([0.1, 1] as const)) };
  const series = [{ label: "loss", colour: "path" as const, width: 2 }];
  const bySteps = lineChart({
    x: { name: "step", whole: true, range: () => [0, 1.015 * Math.max(1, (view?.descent.losses.length ?? 2) - 1)] },
    y,
    series: [{ ...series[0]!, points: 5, line: true }],
    description: "Loss at each step",
    marks: () => (view ? [lowest(view), ...lastStep(view)] : []),
  });
  const byRate = lineChart({
    x: { name: "learning rate, rising at every step", logarithmic: true, range: () => [1e-5, 10] },
    y,
    series: [{ label: "loss", colour: "smoothed", width: 2 }],
    description: "Range test",
    marks: () => (view?.range ? rangeMarks(view) : []),
  });
  const charts = { steps: bySteps, range: byRate };
  const buttons = LOOKS.map(([look, name]) =>
    element("button", { type: "button", "data-look": look, on: { click: () => change({ look }) } }, name),
  );
  const both = element("div", { class: "both" }, bySteps.element, byRate.element);
  const switcher = element("div", { class: "switch", role: "group", "aria-label": "What the loss is drawn against" }, ...buttons);
  return {
    element: panel("loss", "The loss", both, [], switcher),
    show(next) {
      view = next;
      const { look } = next.state;
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset["look"] === look));
      for (const [name, { element: chart }] of Object.entries(charts)) {
        chart.hidden = name !== look;
      }
      if (next.range) byRate.setData(next.range.lrs, [drawable(next.range.losses, next)]);
      else bySteps.setData(Float64Array.from(next.descent.losses.keys()), [drawable(next.descent.losses, next)]);
      charts[look].setDescription(describe(next));
    },
    stop() {
      bySteps.stop();
      byRate.stop();
    },
  };
}

/** Return losses as a logarithmic axis can show them: an explosion is cut where it has left the picture. */
function drawable(losses: Float64Array, view: LessonView): (number | null)[] {
  const [low, high] = windowOf(view);
  return Array.from(losses, (loss) => (Number.isNaN(loss) ? null : Math.min(1e3 * high, Math.max(low / 1e3, loss))));
}

function windowOf({ problem, descent }: LessonView): [number, number] {
  const start = descent.losses[0]!;
  const low = Math.max(BELOW_LOWEST * problem.lowestLoss, 1e-6 * start, 1e-3 * problem.rounding);
  return [low, Math.max(ABOVE_START * start, ABOVE_LOW * low)];
}

function lowest({ problem }: LessonView): Mark {
  return { role: "least-squares", y: problem.lowestLoss, dashed: true, label: `lowest there is: ${written(problem.lowestLoss, 2)}` };
}

function lastStep({ descent, problem }: LessonView): Mark[] {
  const last = descent.losses.length - 1;
  const loss = descent.losses[last]!;
  if (!Number.isFinite(loss)) return [];
  // Next to the lowest loss there is room for one label, and that one says what the other would.
  return [{ role: "path", x: last, y: loss, label: loss > FAR_ABOVE * problem.lowestLoss ? written(loss, 3) : "" }];
}

function rangeMarks({ range, state }: LessonView): Mark[] {
  const { minimum, tenth } = range!;
  return [
    { role: "path", x: state.lr, dashed: true },
    { role: ruleHolds(range!) ? "good" : "muted", x: tenth, label: `a tenth of it: ${written(tenth, 3)}`, side: "left" },
    { role: "smoothed", x: minimum.lr, y: minimum.loss, label: `lowest at ${written(minimum.lr, 3)}`, side: "left", below: true },
  ];
}

function describe({ descent, range, problem }: LessonView): string {
  if (range) return `The loss hardly moves, then falls, then explodes. ${rangeSentence(range)}`;
  const last = descent.losses.length - 1;
  return (
    `The loss goes from ${written(descent.losses[0]!)} to ${written(descent.losses[last]!)} in ${last} steps; ` +
    `the lowest there is is ${written(problem.lowestLoss)}.`
  );
}
