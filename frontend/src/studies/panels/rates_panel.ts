/** Every rate of a study in a table. */

import { element, fill } from "../../kit/element";
import { count, general } from "../../kit/numbers";
import { fileName, saveButton, saveText } from "../save";
import { csvOf, tableOf } from "../table";
import { outcomeName } from "../words";
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
      const now = JSON.stringify(rates);
      if (shown === now) return;
      shown = now;
      const rows = rates.map((rate) => [
        general(rate.lr),
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

/** A dot and the outcome in words. */
export function outcomeMark(outcome: string | null): HTMLElement {
  return element("span", { class: "outcome-mark" }, element("span", { class: "outcome-dot", "data-outcome": outcome ?? "", "aria-hidden": "true" }), outcomeName(outcome));
}
