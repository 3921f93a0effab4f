/** Every rate of a study in a table. */

import { element, fill } from "../../kit/element";
import { count, general } from "../../kit/numbers";
import { outcomeName } from "../../kit/outcomes";
import { fileName, saveButton, saveText } from "../../kit/save";
import { csvOf, tableOf } from "../../kit/table";
import type { StudyDetail } from "../contract";
import { ratesOf } from "../state";
import type { Panel } from "./panel";

const COLUMNS = [
  { title: "Learning rate", number: true },
  { title: "Runs", number: true },
  { title: "Steps", number: true },
  { title: "Last loss", number: true },
  { title: "Outcome" },
];

/** Make the panel. */
export function ratesPanel(): Panel {
  const body = element("div");
  let shown = "";
  return {
    element: body,
    show(study) {
      const { rates } = study;
      const now = JSON.stringify([rates, study.best]);
      if (shown === now) return;
      shown = now;
      const rows = rates.map((rate) => [
        isBest(study, rate.lr) ? element("span", { class: "best-rate" }, bestMark(), general(rate.lr)) : general(rate.lr),
        count(rate.runs),
        count(rate.steps),
        rate.last_loss === null ? "not finite" : general(rate.last_loss),
        outcomeMark(rate.outcome),
      ]);
      const table = csvOf(["lr", "runs", "steps", "last_loss", "outcome"], rates.map((rate) => [rate.lr, rate.runs, rate.steps, rate.last_loss, rate.outcome]));
      fill(
        body,
        tableOf("The rates of the study", COLUMNS, rows),
        element("div", { class: "saves" }, saveButton("Save table (CSV)", () => saveText(table, fileName(study.name, "rates", "csv")))),
      );
    },
    stop: () => undefined,
  };
}

/** Return whether a study recommends a rate, or has found none better so far. */
export function isBest({ best }: StudyDetail, lr: number): boolean {
  return best !== null && ratesOf([best], [lr])[0] === lr;
}

/** The mark of the best rate. */
export function bestMark(): HTMLElement {
  return element("span", { class: "best-mark", role: "img", "aria-label": "best rate", title: "best rate" });
}

/** A dot and the outcome in words; what is not known is a dash. */
export function outcomeMark(outcome: string | null): HTMLElement {
  return element("span", { class: "outcome-mark" }, element("span", { class: "outcome-dot", "data-outcome": outcome ?? "", "aria-hidden": "true" }), outcome === null ? "–" : outcomeName(outcome));
}
