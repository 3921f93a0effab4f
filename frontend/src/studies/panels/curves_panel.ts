/** The curves of rates that the reader chooses from all of them. */

import { element, fill } from "../../kit/element";
import { general } from "../../kit/numbers";
import { outcomeName } from "../../kit/outcomes";
import type { StudyDetail } from "../contract";
import { sameRate, type View } from "../state";
import { scaleButtons, toggled } from "./chosen";
import type { Change, Panel } from "./panel";
import { bestMark, isBest } from "./rates_panel";
import { runCurves } from "./run_curves";

/** Make the panel. */
export function curvesPanel(change: Change): Panel {
  const curves = runCurves();
  const scales = scaleButtons(change);
  const chooser = element("div", { class: "chooser", role: "group", "aria-label": "Rates to show" });
  const hint = element("span", { class: "hint" });
  const all = element("button", { type: "button", class: "quiet", on: { click: () => change({ lrs: [] }) } }, "Show a spread of all");
  let listed = "";

  function list(study: StudyDetail, view: View): void {
    const names = study.rates.map((rate) => `${rate.lr} ${rate.outcome} ${isBest(study, rate.lr)}`).join();
    if (listed !== names) {
      listed = names;
      fill(chooser, ...study.rates.map((rate) => rateButton(rate.lr, rate.outcome, isBest(study, rate.lr))));
    }
    for (const button of chooser.children) {
      const lr = Number((button as HTMLElement).dataset["lr"]);
      const index = view.lrs.findIndex((other) => sameRate(other, lr));
      button.setAttribute("aria-pressed", String(index >= 0));
      (button as HTMLButtonElement).onclick = () => change({ lrs: toggled(view.lrs, lr) });
    }
  }

  return {
    element: element(
      "div",
      { class: "curves-panel" },
      element("header", { class: "section-head" }, hint, scales.element, all),
      curves.element,
      element("h2", {}, "Rates"),
      chooser,
    ),
    show(study, view) {
      scales.show(view);
      all.hidden = view.lrs.length === 0;
      fill(hint, view.lrs.length === 0 ? "Curves spread over all rates. Choose some below to compare them." : "The rates that are chosen below.");
      list(study, view);
      curves.show(study, view);
    },
    stop: () => curves.stop(),
  };
}

function rateButton(lr: number, outcome: string | null, isBest: boolean): HTMLButtonElement {
  const dot = element("span", { class: "outcome-dot", "data-outcome": outcome ?? "", "aria-hidden": "true" });
  const label = `Rate ${general(lr)}, ${outcomeName(outcome)}${isBest ? ", best rate" : ""}`;
  return element("button", { type: "button", class: "rate", "data-lr": lr, "aria-label": label, title: outcomeName(outcome) }, isBest ? bestMark() : dot, general(lr, 3));
}
