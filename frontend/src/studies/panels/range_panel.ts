/** A range test: its picture, and what each rule suggests, also while its repeats are under way. */

import { sentence } from "../../kit/asking";
import { element, fill, setText } from "../../kit/element";
import { latest } from "../../kit/latest";
import { general } from "../../kit/numbers";
import { fileName, saveButton, savePicture, saveText } from "../../kit/save";
import { csvOf, tableOf } from "../../kit/table";
import type { StudyDetail, StudyRangeTest, Suggestion } from "../contract";
import { rangeChart } from "../range/chart";
import { lookOf } from "../range/marks";
import { askRangeTest } from "../requests";
import type { Panel } from "./panel";

const WAITING = "The first repeat is under way. Its curve comes when it is done.";
const ENDED = "This range test was stopped before its first repeat was done.";

const COLUMNS = [
  { title: "Rule" },
  { title: "Rate", number: true },
  { title: "From", number: true, isRange: true },
  { title: "To", number: true, isRange: true },
  { title: "Why", sentence: true },
];

/** Make the panel. */
export function rangePanel(): Panel {
  let study: StudyDetail | null = null;
  let test: StudyRangeTest | null = null;
  let asked = "";

  const chart = rangeChart();
  const trouble = element("p", { class: "trouble", role: "status", hidden: true });
  const table = element("div");
  const saves = element(
    "div",
    { class: "saves" },
    saveButton("Save picture (PNG)", () => savePicture(chart.picture(study?.name ?? "", study?.sentences[0] ?? ""), named("range-test", "png"))),
    saveButton("Save losses (CSV)", () => test !== null && saveText(lossesTable(test), named("losses", "csv"))),
  );
  const suggestions = element(
    "section",
    { "aria-label": "What the rules suggest" },
    element("header", { class: "section-head" }, element("h2", {}, "What the rules suggest")),
    table,
    element("div", { class: "saves" }, saveButton("Save table (CSV)", () => test !== null && saveText(suggestionsTable(test), named("suggestions", "csv")))),
  );
  const body = element("div", { class: "range-panel", hidden: true }, element("div", {}, chart.element, saves), suggestions);

  const answers = latest<StudyRangeTest>(
    (answer) => {
      test = answer;
      trouble.hidden = true;
      body.hidden = false;
      chart.show(answer, study?.sentences[0] ?? "");
      fill(table, tableOf("The suggestion of each rule", COLUMNS, answer.suggestions.map(rowOf)));
    },
    (error) => tell(sentence(error)),
  );

  function tell(problem: string): void {
    trouble.hidden = false;
    body.hidden = test === null;
    setText(trouble, problem);
  }

  function named(what: string, ending: string): string {
    return fileName(study?.name ?? "", what, ending);
  }

  return {
    element: element("div", {}, trouble, body),
    show(next) {
      study = next;
      const now = `${next.revision} ${next.state}`;
      if (asked === now) return;
      asked = now;
      if (next.curves === 0) tell(next.state === "stopped" ? ENDED : WAITING);
      else answers.load((signal) => askRangeTest(next.name, signal));
    },
    stop() {
      answers.stop();
      chart.stop();
    },
  };
}

function rowOf({ rule, lr, low, high, reason, chosen }: Suggestion): (HTMLElement | string)[] {
  const mark = element("span", { class: `rule-mark ${lookOf(rule).shape}`, "data-rule": rule, "aria-hidden": "true" });
  const name = element("span", { class: "rule" }, mark, chosen ? element("b", {}, rule) : rule);
  return [name, ...[lr, low, high].map((rate) => (rate === null ? "none" : general(rate, 3))), reason];
}

function suggestionsTable({ suggestions }: StudyRangeTest): string {
  return csvOf(["rule", "lr", "low", "high", "reason"], suggestions.map((told) => [told.rule, told.lr, told.low, told.high, told.reason]));
}

function lossesTable({ repeats, smoothed, watched }: StudyRangeTest): string {
  const level = new Map(smoothed.lrs.map((lr, index) => [lr, smoothed.losses[index] ?? null]));
  const rows = repeats.flatMap(({ seed, lrs, losses }) => lrs.map((lr, index) => [seed, lr, losses[index] ?? null, level.get(lr) ?? null]));
  return csvOf(["seed", "lr", `${watched}_loss`, "smoothed"], rows);
}
