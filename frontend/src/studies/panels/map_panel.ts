/** The map of a sweep, with what the cross-hair reads, the curves of chosen rates, and the best rate for each budget. */

import { sentence } from "../../kit/asking";
import { element, fill, setText } from "../../kit/element";
import { latest } from "../../kit/latest";
import { count, general } from "../../kit/numbers";
import { fileName, saveButton, savePicture, saveText } from "../../kit/save";
import { csvOf, tableOf } from "../../kit/table";
import type { Best, StudyDetail, StudyMap } from "../contract";
import { legendOf, mapImage, mapTable } from "../map/export";
import { pictureOf, readingOf, type Cell, type MapPicture } from "../map/picture";
import { reading } from "../map/reading";
import { mapView } from "../map/view";
import { askMap } from "../requests";
import { type View } from "../state";
import { scaleButtons, toggled } from "./chosen";
import type { Change, Panel } from "./panel";
import { runCurves } from "./run_curves";

/** Milliseconds until a map that is not judged throughout is asked for again. */
const PAUSE = 300;

/** Make the panel. */
export function mapPanel(change: Change): Panel {
  let study: StudyDetail | null = null;
  let view: View | null = null;
  let picture: MapPicture | null = null;
  let asked = "";
  let later = 0;

  const panel = reading(() => picture);
  const map = mapView(look, choose);
  const key = element("p", { class: "map-key" });
  const trouble = element("p", { class: "trouble", role: "status", hidden: true });
  const budgets = element("div");
  const curves = runCurves();
  const scales = scaleButtons(change);
  const clear = element("button", { type: "button", class: "quiet", on: { click: () => change({ lrs: [] }) } }, "Clear");
  const chosenTitle = element("h2", {}, "Curves of the chosen rates");
  const chosen = element(
    "section",
    { class: "chosen", "aria-label": "Curves of the chosen rates", hidden: true },
    element("header", { class: "section-head" }, chosenTitle, scales.element, clear),
    curves.element,
  );
  const saves = element(
    "div",
    { class: "saves" },
    saveButton("Save picture (PNG)", () => picture !== null && savePicture(mapImage(picture, study!.name, study!.sentences[0] ?? ""), named("map", "png"))),
    saveButton("Save table (CSV)", () => picture !== null && saveText(mapTable(picture), named("map", "csv"))),
  );
  const figure = element("figure", { class: "map-figure" }, element("div", { class: "map-place" }, map.element), key, saves);
  const body = element("div", { class: "map-panel" }, element("div", { class: "map-and-reading" }, figure, panel.element), chosen, budgets);

  const answers = latest<StudyMap>(
    (answer) => {
      picture = pictureOf(answer, answer.watched ?? String(study?.inputs["loss"] ?? "training"));
      trouble.hidden = true;
      body.hidden = false;
      map.show(picture);
      setText(key, legendOf(picture));
      fill(budgets, bestTable(answer.best, named("best-rates", "csv")));
      if (answer.judged === false) later = window.setTimeout(ask, PAUSE);
    },
    (error) => tell(sentence(error)),
  );

  function tell(problem: string): void {
    trouble.hidden = false;
    setText(trouble, problem);
    body.hidden = picture === null;
  }

  function ask(): void {
    const name = study!.name;
    window.clearTimeout(later);
    answers.load((signal) => askMap(name, signal));
  }

  function named(what: string, ending: string): string {
    return fileName(study?.name ?? "", what, ending);
  }

  function look(cell: Cell | null): void {
    panel.show(cell === null || picture === null ? null : readingOf(picture.map, cell));
  }

  function choose(cell: Cell): void {
    const lr = picture?.map.lrs[cell.rate];
    if (lr !== undefined && view !== null) change({ lrs: toggled(view.lrs, lr) });
  }

  panel.show(null);
  body.hidden = true;
  return {
    element: element("div", {}, trouble, body),
    show(nextStudy, nextView) {
      [study, view] = [nextStudy, nextView];
      if (asked !== study.revision) {
        asked = study.revision;
        if (study.curves > 0) ask();
        else tell("There is no map yet: it grows as runs are done.");
      }
      map.setChosen(view.lrs);
      scales.show(view);
      chosen.hidden = view.lrs.length === 0;
      if (view.lrs.length > 0) curves.show(study, view);
    },
    stop() {
      window.clearTimeout(later);
      answers.stop();
      map.stop();
      curves.stop();
    },
  };
}

function bestTable(best: readonly (Best | null)[], file: string): HTMLElement {
  const known = best.filter((one) => one !== null);
  const withRange = known.some((one) => one.low !== null);
  const columns = ["Steps", "Best rate", ...(withRange ? ["Lowest best rate over seeds", "Highest best rate over seeds"] : []), "Loss"];
  const rows = known.map((one) => {
    const range = withRange ? [one.low === null ? "" : general(one.low), one.high === null ? "" : general(one.high)] : [];
    return [count(one.steps), general(one.lr), ...range, one.loss === null ? "not finite" : general(one.loss)];
  });
  const save = saveButton("Save table (CSV)", () =>
    saveText(csvOf(["steps", "lr", "low", "high", "loss"], known.map((one) => [one.steps, one.lr, one.low, one.high, one.loss])), file),
  );
  return element(
    "section",
    { "aria-label": "The best rate for each budget" },
    element("header", { class: "section-head" }, element("h2", {}, "The best rate for each budget")),
    tableOf("The best learning rate for each number of steps", columns.map((title) => ({ title, number: true, isRange: title.endsWith("over seeds") })), rows),
    element("div", { class: "saves" }, save),
  );
}
