/** The list of what the store holds. */

import { sentence, wasCancelled } from "../kit/asking";
import { element, fill, setText } from "../kit/element";
import { counted } from "../kit/numbers";
import { statusLine } from "../kit/status";
import type { StudyEntry, StudyList } from "./contract";
import { emptyStore, noStore } from "./empty";
import { keepAsking, SOON } from "./polling";
import { askStudies } from "./requests";
import { studyRow, type StudyRow } from "./row";

export interface Listing {
  readonly element: HTMLElement;
  stop(): void;
}

/** Show the studies, and follow them while they run.
 *
 * @param filter - what the list is narrowed to at first.
 * @param onFilter - is told what the reader narrows it to.
 */
export function listing(filter: string, onFilter: (filter: string) => void): Listing {
  const rows = new Map<string, StudyRow>();
  let known: StudyList | null = null;

  const place = element("p", { class: "place" });
  const search = element("input", {
    type: "search",
    class: "search",
    placeholder: "Filter by name, kind or state",
    "aria-label": "Filter the studies by name, kind or state",
    value: filter,
    autocomplete: "off",
    spellcheck: "false",
    on: { input: () => { onFilter(search.value); show(); } },
  });
  const body = element("tbody");
  const table = studiesTable(body);
  const instead = element("div", { class: "instead" });
  const trouble = element("p", { class: "trouble", role: "alert", hidden: true });
  const status = statusLine();

  function show(): void {
    if (known === null) return;
    const matching = known.studies.filter((study) => matches(study, search.value));
    const now = Date.now();
    known.studies.forEach((study) => rowFor(study).show(study, now));
    arrange(body, matching.map((study) => rowFor(study).element));
    setText(place, placeOf(known));
    table.hidden = matching.length === 0;
    search.hidden = known.studies.length === 0;
    if (known.studies.length === 0) fill(instead, known.store === null ? noStore(known.awaited) : emptyStore(known.store));
    else fill(instead, matching.length > 0 ? null : element("p", { class: "hint" }, "No study matches the filter."));
    status.say(summary(known.studies, matching.length));
  }

  function rowFor(study: StudyEntry): StudyRow {
    const row = rows.get(study.name) ?? studyRow(study.name);
    rows.set(study.name, row);
    return row;
  }

  function tell(problem: string | null): void {
    trouble.hidden = problem === null;
    setText(trouble, problem ?? "");
  }

  const stopAsking = keepAsking(async (signal) => {
    try {
      known = await askStudies(signal);
      tell(null);
      show();
    } catch (error) {
      if (!wasCancelled(error)) tell(sentence(error));
    }
    return SOON;
  });

  const heading = element("header", { class: "heading" }, element("div", {}, element("h1", {}, "Studies"), place), search);
  return {
    element: element("section", { class: "studies", "aria-label": "Studies" }, heading, trouble, table, instead, status.element),
    stop() {
      stopAsking();
      status.stop();
    },
  };
}

function studiesTable(body: HTMLElement): HTMLElement {
  const titles = ["Study", "Kind", "State", "Curves", "Begun"];
  const head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)));
  const caption = element("caption", { class: "unseen" }, "The studies in the store, the newest first");
  return element("table", { class: "studies-table", hidden: true }, caption, element("thead", {}, head), body);
}

/** Put rows in order with as few moves as there are changes, so that what has the focus keeps it. */
function arrange(body: HTMLElement, wanted: readonly HTMLElement[]): void {
  const keep = new Set(wanted);
  for (const row of [...body.children]) if (!keep.has(row as HTMLElement)) row.remove();
  wanted.forEach((row, index) => {
    if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null);
  });
}

function matches(study: StudyEntry, filter: string): boolean {
  const text = `${study.name} ${study.kind} ${study.state} ${study.target ?? ""}`.toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function placeOf(known: StudyList): string {
  if (known.store === null) return "";
  const running = known.studies.filter((study) => study.state === "running").length;
  return `${known.store} · ${counted(known.studies.length, "study", "studies")}${running > 0 ? ` · ${running} running` : ""}`;
}

function summary(studies: readonly StudyEntry[], matching: number): string {
  const running = studies.filter((study) => study.state === "running").length;
  const shown = matching === studies.length ? "" : `, ${matching} shown`;
  return `${counted(studies.length, "study", "studies")}${shown}${running > 0 ? `, ${running} running` : ""}.`;
}
