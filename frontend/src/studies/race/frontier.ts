/** What more steps would bring: the loss that each budget leads to at its best rate. */

import { element } from "../../kit/element";
import { framed } from "../../kit/framed";
import { count, general } from "../../kit/numbers";
import { fileName, saveButton, savePicture, saveText } from "../../kit/save";
import { csvOf, tableOf } from "../../kit/table";
import { lineChart } from "../../pictures/line_chart";
import type { FrontierLine, Recommendation } from "../contract";

export interface Frontier {
  readonly element: HTMLElement;
  stop(): void;
}

const LOGARITHMIC_FROM = 3;

const COLUMNS = [
  { title: "Steps", number: true },
  { title: "Best rate", number: true },
  { title: "Loss", number: true },
  { title: "Adds to the fall", number: true },
];

/** Make the picture and the table of a frontier that has a line with a loss. */
export function frontierSection(name: string, told: Recommendation): Frontier {
  const known = told.frontier.filter((line): line is FrontierLine & { loss: number } => line.loss !== null);
  const losses = known.map((line) => line.loss);
  const lowest = Math.min(...losses);
  const chart = lineChart({
    x: { name: "steps", logarithmic: true },
    y: { name: told.loss, logarithmic: lowest > 0 && Math.max(...losses) / lowest >= LOGARITHMIC_FROM },
    series: [{ label: told.loss, colour: "smoothed", line: true, points: 8 }],
    marks: () => (told.steps === null ? [] : [{ role: "good", x: told.steps, label: "recommended" }]),
    description: "The loss that each number of steps leads to at its best rate; the table beside it holds the same.",
  });
  chart.setData(known.map((line) => line.steps), [losses]);
  const rows = told.frontier.map((line) => [
    count(line.steps),
    general(line.lr),
    line.loss === null ? "unknown" : general(line.loss),
    line.gain === null ? "" : `${general(100 * line.gain, 2)}\u2009%`,
  ]);
  const csv = (): string => csvOf(["steps", "lr", "loss", "gain"], told.frontier.map((line) => [line.steps, line.lr, line.loss, line.gain]));
  const saves = element(
    "div",
    { class: "saves" },
    saveButton("Save picture (PNG)", () => savePicture(framed(chart.picture(), name, "What more steps bring, each budget at its best rate"), fileName(name, "frontier", "png"))),
    saveButton("Save table (CSV)", () => saveText(csv(), fileName(name, "frontier", "csv"))),
  );
  return {
    element: element(
      "section",
      { "aria-label": "What more steps bring" },
      element("header", { class: "section-head" }, element("h2", {}, "What more steps bring")),
      element("div", { class: "frontier" }, element("div", { class: "frontier-place" }, chart.element), tableOf("The best rate for each number of steps", COLUMNS, rows)),
      saves,
    ),
    stop: () => chart.stop(),
  };
}
