/** The answer: the verdict, the advice, the curve, and the numbers that show it. */

import { element, fill, freshId } from "../kit/element";
import { framed } from "../kit/framed";
import { general } from "../kit/numbers";
import { capitalised, outcomeName } from "../kit/outcomes";
import { palette, type Role } from "../kit/palette";
import { fileName, saveButton, savePicture, saveText } from "../kit/save";
import { csvOf, pairs } from "../kit/table";
import { onThemeChange } from "../kit/theme";
import type { Diagnosed, Question } from "./contract";
import { logCurve, seriesOf } from "./curve";
import { troubleOfRate } from "./pasted";
import type { LogFile } from "./requests";

export interface Answer {
  readonly element: HTMLElement;
  stop(): void;
}

/** Make the answer.
 *
 * @param log - what it is about.
 * @param asked - what was asked of it.
 * @param onQuestion - is told when the reader wants another run or column of it.
 */
export function answerView(log: LogFile, answer: Diagnosed, asked: Question, onQuestion: (change: Partial<Question>) => void): Answer {
  const { name } = log;
  const chart = logCurve(answer);
  const key = element("div", { class: "key" });
  const lines = (): KeyLine[] => seriesOf(answer.curve).map((line) => ({ text: line.label, role: line.colour as Role, isDot: line.points !== undefined }));
  const showKey = (): void => fill(key, ...lines().map(keyEntry));
  showKey();
  const stopTheme = onThemeChange(showKey);
  const saves = element(
    "div",
    { class: "saves" },
    saveButton("Save picture (PNG)", () => savePicture(framed(chart.picture(), name, answer.sentences.join(" "), lines().map(({ text, role }) => ({ text, colour: palette()[role] }))), fileName(name, "diagnosis", "png"))),
    saveButton("Save curve (CSV)", () => saveText(curveTable(answer), fileName(name, "curve", "csv"))),
  );
  const figure = element("figure", { class: "log-figure" }, key, element("div", { class: "log-place" }, chart.element), saves);
  return {
    element: element(
      "div",
      { class: "diagnosis", "data-outcome": answer.diagnosis.outcome },
      element("div", { class: "judgement-side" }, choices(log, answer, asked, onQuestion), verdict(answer), evidence(answer)),
      figure,
    ),
    stop() {
      stopTheme();
      chart.stop();
    },
  };
}

function verdict({ diagnosis, notes = [] }: Diagnosed): HTMLElement {
  const { outcome, advice } = diagnosis;
  return element(
    "div",
    { class: "judgement" },
    element("h2", {}, element("span", { class: "outcome-dot", "data-outcome": outcome, "aria-hidden": "true" }), capitalised(outcomeName(outcome))),
    // What an outcome means in general is left out: the first advice says it of this run, as far as its losses show it.
    element("ul", { class: "advice" }, ...advice.map((sentence) => element("li", {}, sentence))),
    ...notes.map((note) => element("p", { class: "hint" }, note)),
  );
}

function choices(log: LogFile, answer: Diagnosed, asked: Question, onQuestion: (change: Partial<Question>) => void): HTMLElement | null {
  const runs = answer.runs.length > 1 && choice("Run", answer.runs, answer.run, (run) => onQuestion({ run }));
  const losses = answer.losses.length > 1 && choice("Loss", answer.losses, answer.loss, (loss) => onQuestion({ loss }));
  const isTold = answer.diagnosis.lr !== null && asked.lr === null;
  const rate = log.lr === undefined && !isTold && rateField(asked.lr, (lr) => onQuestion({ lr }));
  return runs || losses || rate ? element("div", { class: "choices" }, runs, losses, rate) : null;
}

/** Make the field for a learning rate that the log does not tell. */
function rateField(known: string | null, onRate: (lr: string | null) => void): HTMLElement {
  const id = freshId("rate");
  const field = element("input", {
    id,
    type: "text",
    inputmode: "decimal",
    autocomplete: "off",
    size: 8,
    placeholder: "unknown",
    value: known ?? "",
    on: { change: take, input: () => field.setCustomValidity("") },
  });

  function take(): void {
    const rate = field.value.trim();
    field.setCustomValidity(troubleOfRate(rate) ?? "");
    // What is on the page stays there while the reader mends what was typed.
    if (field.reportValidity()) onRate(rate || null);
  }
  return element("span", { class: "choice" }, element("label", { for: id }, "Learning rate of the run"), field);
}

/** Make a labelled choice of one of several names. */
export function choice(label: string, names: readonly string[], chosen: string | null, onChoose: (name: string) => void): HTMLElement {
  const id = freshId("choice");
  const select = element("select", { id, on: { change: () => onChoose(select.value) } });
  const first = chosen === null ? [element("option", { value: "", disabled: true, selected: true }, "Choose…")] : [];
  select.append(...first, ...names.map((name) => element("option", { value: name, selected: name === chosen }, name)));
  return element("span", { class: "choice" }, element("label", { for: id }, label), select);
}

const EVIDENCE: [string, string][] = [
  ["losses", "losses"],
  ["start", "level at the start"],
  ["end", "level at the end"],
  ["lowest", "lowest"],
  ["noise", "noise of one loss"],
  ["slope", "change per step in the second half"],
  ["growth", "growth per step"],
  ["grows_from", "grows from step"],
  ["period", "period of the oscillation"],
  ["gain_left", "still to gain at this rate"],
  ["first_non_finite", "not finite from step"],
  ["gaps", "gaps"],
];

function evidence({ diagnosis }: Diagnosed): HTMLElement {
  const shown = EVIDENCE.flatMap(([field, title]): [string, string][] => {
    const value = diagnosis.evidence[field];
    return typeof value === "number" && !(field === "gaps" && value === 0) ? [[title, general(value)]] : [];
  });
  if (diagnosis.lr !== null) shown.push(["learning rate at the end", general(diagnosis.lr)]);
  return element("details", { class: "evidence" }, element("summary", {}, "What shows it, in numbers"), pairs(shown));
}

interface KeyLine {
  text: string;
  role: Role;
  isDot: boolean;
}

function keyEntry({ text, role, isDot }: KeyLine): HTMLElement {
  const entry = element("span", { class: isDot ? "dot" : "" }, text);
  entry.style.setProperty("--mark", palette()[role]);
  return entry;
}

function curveTable({ curve }: Diagnosed): string {
  const rows = curve.steps.map((step, index) => [step, curve.losses[index] ?? null, curve.smoothed?.[index] ?? null, curve.lrs?.[index] ?? null]);
  return csvOf(["step", "loss", "smoothed", "lr"], rows);
}
