/** What the reader can choose: the rate, the steps, and under what circumstances. */

import { element } from "../kit/element";
import { counted, fixed, general, written } from "../kit/numbers";
import { RATES, STEPS } from "./lr_map";
import { evenStops, logarithmicStops, slider } from "./slider";
import { BOUNDS, type State } from "./state";
import type { LessonView } from "./view";

const RATES_PER_DECADE = 200;
const NOISE = 0.1;

export interface Control {
  readonly element: HTMLElement;
  show(view: LessonView): void;
}

type Change = (choice: Partial<State>) => void;

/** The two choices that matter most. */
export function mainControls(change: Change): Control {
  const rate = slider({
    name: "Learning rate",
    stops: logarithmicStops(RATES.low, RATES.high, RATES_PER_DECADE),
    format: (value) => written(value, 3),
    box: { low: RATES.low, high: RATES.high, step: "any" },
    onChange: (lr) => change({ lr }),
  });
  rate.element.classList.add("rate");
  const steps = slider({
    name: "Steps",
    stops: STEPS,
    format: (value) => counted(value, "step"),
    box: { low: 1, high: STEPS.at(-1)!, step: 1 },
    onChange: (value) => change({ steps: value }),
  });
  return {
    element: element("div", { class: "controls main-controls", role: "group", "aria-label": "Learning rate and steps" }, rate.element, steps.element),
    show({ state, limit }) {
      rate.show(state.lr);
      rate.mark(limit, `limit ${general(limit, 3)}`);
      steps.show(state.steps);
    },
  };
}

/** Where the descent starts, and what else may be changed. */
export function otherControls(change: Change): Control {
  const numbers = ["w", "b", "noise", "momentum"] as const;
  const named = { w: "Start w", b: "Start b", noise: "Noise", momentum: "Momentum" };
  const step = { w: 0.05, b: 0.05, noise: 0.05, momentum: 0.01 };
  const format = {
    w: (value: number) => fixed(value, 2),
    b: (value: number) => fixed(value, 2),
    noise: (value: number) => `± ${fixed(NOISE * value, 3)}`,
    momentum: (value: number) => fixed(value, 2),
  };
  const sliders = numbers.map((name) => ({
    name,
    slider: slider({
      name: named[name],
      stops: evenStops(...BOUNDS[name], step[name]),
      format: format[name],
      onChange: (value) => change({ [name]: value }),
    }),
  }));
  return {
    element: element(
      "div",
      { class: "controls other-controls", role: "group", "aria-label": "Start, noise and momentum" },
      ...sliders.map(({ slider: { element: whole } }) => whole),
    ),
    show({ state }) {
      for (const { name, slider: one } of sliders) one.show(state[name]);
    },
  };
}
