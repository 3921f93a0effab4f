/** The rates whose curves are looked at, and the buttons that say how. */

import { element } from "../../kit/element";
import { MOST_CHOSEN, sameRate, type View } from "../state";
import type { Change } from "./panel";

/** Return the chosen rates with one more, or without it if it was among them. */
export function toggled(lrs: readonly number[], lr: number): number[] {
  const without = lrs.filter((other) => !sameRate(other, lr));
  return without.length < lrs.length ? without : [...lrs, lr].slice(-MOST_CHOSEN);
}

export interface ScaleButtons {
  readonly element: HTMLElement;
  show(view: View): void;
}

/** Make the buttons for logarithmic axes and smoothing. */
export function scaleButtons(change: Change): ScaleButtons {
  let view: View | null = null;
  const loss = pressable("Log loss", () => change({ logLoss: !view?.logLoss }));
  const steps = pressable("Log steps", () => change({ logSteps: !view?.logSteps }));
  const smooth = pressable("Smooth", () => change({ smooth: !view?.smooth }));
  return {
    element: element("div", { class: "toggles", role: "group", "aria-label": "How to draw the curves" }, loss, steps, smooth),
    show(next) {
      view = next;
      loss.setAttribute("aria-pressed", String(next.logLoss));
      steps.setAttribute("aria-pressed", String(next.logSteps));
      smooth.setAttribute("aria-pressed", String(next.smooth));
    },
  };
}

function pressable(label: string, press: () => void): HTMLButtonElement {
  return element("button", { type: "button", class: "toggle", "aria-pressed": "false", on: { click: press } }, label);
}
