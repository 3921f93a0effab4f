/** The race of a recommendation: its picture, its probes in a table, and what more steps would bring. */

import { element, fill, setText } from "../../kit/element";
import { framed, type KeyEntry } from "../../kit/framed";
import { count, counted, general } from "../../kit/numbers";
import { outcomeName } from "../../kit/outcomes";
import { palette } from "../../kit/palette";
import { fileName, saveButton, savePicture, saveText } from "../../kit/save";
import { csvOf, tableOf } from "../../kit/table";
import { onThemeChange } from "../../kit/theme";
import type { Probe, Recommendation, StudyDetail } from "../contract";
import { roundColour } from "../race/draw";
import { frontierSection, type Frontier } from "../race/frontier";
import { racePicture, type RacePicture } from "../race/picture";
import { raceView, type RaceView } from "../race/view";
import type { Panel } from "./panel";
import { outcomeMark } from "./rates_panel";

const WAITING = "The race is on. Its picture comes when it is decided; the curves of the probes so far are under Curves.";
const HINT = "Point at a probe, or focus the picture and use the arrow keys.";

/** Make the panel. */
export function racePanel(): Panel {
  const body = element("div", { class: "race-panel" });
  let shown = "";
  let race: RaceView | null = null;
  let frontier: Frontier | null = null;
  let drawKey: () => void = () => undefined;
  const stopTheme = onThemeChange(() => drawKey());

  function build(study: StudyDetail, told: Recommendation): void {
    const picture = racePicture(told);
    const said = element("p", { class: "at", role: "status" }, HINT);
    const key = element("div", { class: "key" });
    race?.stop();
    frontier?.stop();
    race = raceView(picture, (probe) => setText(said, probe === null ? HINT : probeText(probe, told.loss)));
    frontier = told.frontier.some((line) => line.loss !== null) ? frontierSection(study.name, told) : null;
    drawKey = () => fill(key, ...keyOf(picture).map(keyEntry));
    drawKey();
    const saves = element("div", { class: "saves" }, saveButton("Save picture (PNG)", () => savePicture(framed(race!.picture(), study.name, study.sentences[0] ?? "", keyOf(picture)), fileName(study.name, "race", "png"))));
    fill(
      body,
      element("figure", { class: "race-figure" }, key, element("div", { class: "race-place" }, race.element), said, saves),
      frontier?.element,
      probesSection(study.name, picture),
    );
  }

  return {
    element: body,
    show(study) {
      const now = `${study.revision} ${study.state}`;
      if (shown === now) return;
      shown = now;
      if (study.recommendation === null) fill(body, element("p", { class: "hint" }, study.state === "running" ? WAITING : "This search was stopped before its race was decided."));
      else build(study, study.recommendation);
    },
    stop() {
      stopTheme();
      race?.stop();
      frontier?.stop();
    },
  };
}

function probeText(probe: Probe, lossName: string): string {
  const score = probe.score === null ? "lost" : `${lossName} ${general(probe.score)}`;
  return `Rate ${general(probe.lr)} after ${counted(probe.steps, "step")}: ${score}, ${outcomeName(probe.outcome)}.`;
}

interface Entry extends KeyEntry {
  kind: string;
}

function keyOf({ told, rounds }: RacePicture): Entry[] {
  const entries = rounds.map((round, index) => entry(`${counted(round.steps, "step")}: ${counted(round.probes.length, "probe")}`, roundColour(index, rounds.length), "dot"));
  const { good, limit, evaluation, diverged } = palette();
  if (told.lr !== null) entries.push(entry(`pick: ${general(told.lr, 2)}`, good));
  if (told.max_stable_lr !== null) entries.push(entry(`every probe diverged from ${general(told.max_stable_lr, 2)} on`, limit, "dashed"));
  if (told.predicted_loss !== null) entries.push(entry("expected at the end", evaluation, "dot"));
  if (told.probes.some((probe) => probe.score === null)) entries.push(entry("diverged", diverged, "cross"));
  return entries;
}

function entry(text: string, colour: string, kind = ""): Entry {
  return { text, colour, kind };
}

function keyEntry({ text, colour, kind }: Entry): HTMLElement {
  const made = element("span", { class: kind }, text);
  made.style.setProperty("--mark", colour);
  return made;
}

const COLUMNS = [
  { title: "Steps", number: true },
  { title: "Learning rate", number: true },
  { title: "Loss compared", number: true },
  { title: "Outcome" },
];

function probesSection(name: string, { probes }: RacePicture): HTMLElement {
  const rows = probes.map((probe) => [count(probe.steps), general(probe.lr), probe.score === null ? "lost" : general(probe.score), outcomeMark(probe.outcome)]);
  const csv = (): string => csvOf(["steps", "lr", "score", "outcome"], probes.map((probe) => [probe.steps, probe.lr, probe.score, probe.outcome]));
  const save = saveButton("Save table (CSV)", () => saveText(csv(), fileName(name, "probes", "csv")));
  return element(
    "section",
    { "aria-label": "The probes" },
    element("header", { class: "section-head" }, element("h2", {}, "The probes")),
    tableOf("The probes of the race", COLUMNS, rows),
    element("div", { class: "saves" }, save),
  );
}
