/** What the cross-hair reads off the map, for eye and ear. */

import { element, setText } from "../../kit/element";
import { count, general } from "../../kit/numbers";
import type { Outcome } from "../../kit/outcomes";
import { capitalised, outcomeMeaning, outcomeName } from "../../kit/outcomes";
import type { CellReading, MapPicture } from "./picture";

export interface Reading {
  readonly element: HTMLElement;
  /** Show what a cell holds; null shows how to begin. */
  show(cell: CellReading | null): void;
}

/** Make the panel beside the map. */
export function reading(picture: () => MapPicture | null): Reading {
  const values = { lr: value("rate"), steps: value("steps"), loss: value("loss") };
  const lossName = element("dt", {}, "loss");
  const outcome = element("p", { class: "outcome" });
  const meaning = element("p", { class: "meaning" });
  const hint = element("p", { class: "hint" }, "Point at the map, or focus it and use the arrow keys. A click adds the curve of that rate.");
  const figures = element(
    "dl",
    { class: "reading-figures" },
    element("div", {}, element("dt", {}, "learning rate"), element("dd", {}, values.lr)),
    element("div", {}, element("dt", {}, "steps"), element("dd", {}, values.steps)),
    element("div", {}, lossName, element("dd", {}, values.loss)),
  );
  const panel = element("aside", { class: "reading", role: "status", "aria-label": "At the cross-hair" }, figures, outcome, meaning, hint);

  return {
    element: panel,
    show(cell) {
      panel.classList.toggle("empty", cell === null);
      setText(lossName, picture()?.lossName ?? "loss");
      put(values.lr, cell === null ? null : cell.lr, "–");
      put(values.steps, cell === null ? null : cell.steps, "–", count);
      put(values.loss, cell === null ? null : cell.loss, cell === null ? "–" : "not finite");
      outcome.dataset["outcome"] = cell?.outcome ?? "";
      setText(outcome, cell === null ? "" : outcomeText(cell));
      setText(meaning, cell === null ? "" : meaningOf(cell.outcome));
    },
  };
}

function value(name: string): HTMLDataElement {
  return element("data", { "data-reading": name, value: "" }, "–");
}

function put(target: HTMLDataElement, exact: number | null, instead: string, text: (value: number) => string = general): void {
  target.value = exact === null ? "" : String(exact);
  setText(target, exact === null ? instead : text(exact));
}

function outcomeText(cell: CellReading): string {
  return `${outcomeName(cell.outcome)}${cell.isBest ? " · best rate for these steps" : ""}`;
}

function meaningOf(outcome: Outcome | null): string {
  const meaning = outcomeMeaning(outcome);
  return meaning && `${capitalised(meaning)}.`;
}
