/** Tables of text, and the same as a file. */

import { element, type Child } from "./element";

export interface Column {
  title: string;
  /** Whether the column holds numbers, which are set flush right. */
  number?: boolean;
  /** Whether the column holds sentences, which may break into lines. */
  sentence?: boolean;
  /** Whether the column is an end of a range, which a narrow screen does without. */
  isRange?: boolean;
}

function kindOf({ number, sentence, isRange }: Column): string | undefined {
  return [number && "number", sentence && "sentence", isRange && "range"].filter(Boolean).join(" ") || undefined;
}

/** Make a table with a caption that is read aloud. */
export function tableOf(caption: string, columns: readonly Column[], rows: readonly (readonly Child[])[]): HTMLElement {
  const head = columns.map((column) => element("th", { scope: "col", class: kindOf(column) }, column.title));
  const body = rows.map((row) =>
    element("tr", {}, ...row.map((cell, index) => element("td", { class: kindOf(columns[index]!) }, cell))),
  );
  const table = element(
    "table",
    { class: "figures" },
    element("caption", { class: "unseen" }, caption),
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...body),
  );
  return element("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": caption }, table);
}

/** Make a list of names and what they stand for. */
export function pairs(entries: readonly (readonly [string, string])[]): HTMLElement {
  const rows = entries.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  return element("dl", { class: "pairs" }, ...rows);
}

/** Write rows as CSV; a text that a spreadsheet would take for a formula is kept a text. */
export function csvOf(header: readonly string[], rows: readonly (readonly (string | number | null)[])[]): string {
  return [header, ...rows].map((row) => `${row.map(cellOf).join(",")}\r\n`).join("");
}

function cellOf(value: string | number | null): string {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  const harmless = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
