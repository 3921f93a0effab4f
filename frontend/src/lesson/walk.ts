/** The first steps in numbers, one after another. */

import { element, fill, setText } from "../kit/element";
import { count } from "../kit/numbers";
import type { Control } from "./controls";
import type { State } from "./state";
import { number } from "./verdict";
import type { LessonView } from "./view";

const FIRST = [1, 2, 3];

/** Buttons that take steps 1, 2 and 3, and a table of where they lead. */
export function walk(change: (choice: Partial<State>) => void): Control {
  let now = 0;
  const buttons = FIRST.map((step) =>
    element("button", { type: "button", "data-step": step, on: { click: () => change({ steps: step }) } }, String(step)),
  );
  const next = element("button", { type: "button", class: "next", on: { click: () => change({ steps: now + 1 }) } }, "one more");
  const rows = Array.from({ length: FIRST.length + 2 }, row);
  const target = row();
  const body = element("tbody");
  return {
    element: element(
      "section",
      { class: "walk", "aria-label": "Step by step" },
      element("div", { class: "walk-buttons", role: "group", "aria-label": "Take steps" }, element("span", {}, "Step"), ...buttons, next),
      element(
        "table",
        {},
        element("thead", {}, element("tr", {}, ...["after", "w", "b", "loss"].map((name) => element("th", { scope: "col" }, name)))),
        body,
      ),
    ),
    show(view) {
      now = view.state.steps;
      buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(FIRST[index] === now)));
      const shown = [...new Set([0, ...FIRST.filter((step) => step < now), now])];
      shown.forEach((step, index) => showStep(rows[index]!, view, step));
      target.element.className = "target";
      target.show("best line", view.problem.leastSquares.w, view.problem.leastSquares.b, view.problem.lowestLoss);
      const wanted = [...shown.map((_, index) => rows[index]!.element), target.element];
      if (body.childElementCount !== wanted.length || body.lastElementChild !== target.element) fill(body, ...wanted);
      wanted.forEach((one, index) => {
        if (body.children[index] !== one) fill(body, ...wanted);
      });
    },
  };
}

function showStep(line: ReturnType<typeof row>, { descent, state }: LessonView, step: number): void {
  const name = step === 0 ? "start" : `step ${count(step)}`;
  line.element.className = step === state.steps ? "current" : "";
  line.element.dataset["step"] = String(step);
  line.show(name, descent.w[step]!, descent.b[step]!, descent.losses[step]!);
}

function row() {
  const cells = [element("th", { scope: "row" }), element("td"), element("td"), element("td")] as const;
  return {
    element: element("tr", {}, ...cells),
    show(name: string, w: number, b: number, loss: number) {
      setText(cells[0], name);
      setText(cells[1], number(w));
      setText(cells[2], number(b));
      setText(cells[3], number(loss));
    },
  };
}
