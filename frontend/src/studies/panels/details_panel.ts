/** What a study was made from and with, and the study as files. */

import { element, fill } from "../../kit/element";
import { counted, general } from "../../kit/numbers";
import { pairs } from "../../kit/table";
import type { Cost, StudyDetail } from "../contract";
import { exportAddress } from "../requests";
import { duration, moment, targetOf } from "../words";
import type { Panel } from "./panel";

const FILES = [["csv", "CSV"], ["parquet", "Parquet"], ["json", "JSON"], ["npz", "NumPy (npz)"]] as const;
const LONGEST = 160;

/** Make the panel. */
export function detailsPanel(): Panel {
  const body = element("div", { class: "details" });
  let shown = "";
  return {
    element: body,
    show(study) {
      if (shown === study.revision) return;
      shown = study.revision;
      fill(body, begun(study), section("Inputs", pairs(inputsOf(study))), section("Made with", pairs(Object.entries(study.versions))), files(study));
    },
    stop: () => undefined,
  };
}

function begun(study: StudyDetail): HTMLElement {
  const entries: [string, string][] = [["begun", moment(study.created)]];
  if (study.target !== null) {
    const { name, fingerprint } = targetOf(study.target);
    if (fingerprint !== null) entries.unshift(["fingerprint of its file, by which a change would be told", fingerprint]);
    entries.unshift(["target", name]);
  }
  if (study.cost !== null) entries.push(["cost", costText(study.cost)]);
  return section("Study", pairs(entries));
}

/** What inputs are called that nobody types under their own name. */
const NAMES: Record<string, string> = {
  lrs: "learning rates",
  lanes: "runs side by side (lanes)",
  budget: "share of the run that the search may take",
  "rates of the schedule": "fingerprint of the schedule's rates",
  "losses of the first steps": "losses of the first steps, by which the same loop is known again",
};

function inputsOf(study: StudyDetail): [string, string][] {
  return Object.entries(study.inputs).map(([name, value]) => [NAMES[name] ?? name.replaceAll("_", " "), shortened(value)]);
}

function shortened(value: unknown): string {
  if (Array.isArray(value) && value.length > 6 && value.every((item) => typeof item === "number")) {
    return `${counted(value.length, "number")} from ${general(Number(value[0]))} to ${general(Number(value.at(-1)))}`;
  }
  if (value === null || typeof value === "boolean") return value === null ? "none" : value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(shortened).join(", ").slice(0, LONGEST);
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}…`;
}

/** Return a cost in words. */
export function costText(cost: Cost): string {
  const parts = [counted(cost.steps, "step")];
  if (cost.evaluations > 0) parts.push(counted(cost.evaluations, "evaluation"));
  if (cost.products > 0) parts.push(counted(cost.products, "Hessian product"));
  return cost.seconds === null ? parts.join(", ") : `${parts.join(", ")} in ${duration(cost.seconds)}`;
}

function files(study: StudyDetail): HTMLElement {
  const links = FILES.map(([format, title]) => element("a", { class: "button", href: exportAddress(study.name, format), download: "" }, title));
  return section("Every step of every run, as a file", element("div", { class: "files" }, ...links));
}

function section(title: string, ...children: HTMLElement[]): HTMLElement {
  return element("section", { class: "detail" }, element("h2", {}, title), ...children);
}
