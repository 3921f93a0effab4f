/** The way in: a file that is dropped or chosen, or losses that are pasted. */

import { element, freshId, setText } from "../kit/element";
import { pastedLog, troubleIn } from "./pasted";
import { MOST_BYTES, type LogFile } from "./requests";

export interface Intake {
  readonly element: HTMLElement;
  /** Step aside once there is an answer. */
  setCompact(compact: boolean, name?: string): void;
  stop(): void;
}

const EXAMPLE = "2.0, 2.9, 4.2, 6.1, 8.8, 12.8";
const TOO_LARGE = "The file is larger than 8 MiB, the most that the page takes. Try lrscout diagnose in a terminal, which has no such limit.";

/** Make the way in.
 *
 * @param onLog - is given the log.
 * @param onTrouble - is given a sentence where there is none.
 */
export function intake(onLog: (file: LogFile) => void, onTrouble: (sentence: string) => void): Intake {
  const ended = new AbortController();
  const chooser = element("input", { type: "file", class: "unseen", tabindex: -1, "aria-hidden": "true", on: { change: choose } });
  const zone = element(
    "button",
    { type: "button", class: "drop-zone", on: { click: () => chooser.click() } },
    element("span", { class: "drop-title" }, "Drop a training log here, or choose a file"),
    element("span", { class: "hint" }, "CSV, JSON lines, Keras history, trainer_state.json or a TensorBoard event file. It is read in memory by the server of this page and kept nowhere."),
  );
  const title = zone.firstElementChild!;
  const pasteId = freshId("paste");
  const rateId = freshId("rate");
  const text = element("textarea", { id: pasteId, rows: 3, spellcheck: "false", placeholder: EXAMPLE, on: { keydown: submitByKey } });
  const rate = element("input", { id: rateId, type: "text", inputmode: "decimal", autocomplete: "off", size: 8, placeholder: "unknown" });
  const example = element("button", { type: "button", class: "quiet", on: { click: tryExample } }, "Try an example");
  const form = element(
    "form",
    { class: "paste", on: { submit } },
    element("label", { for: pasteId }, "Or paste the losses"),
    text,
    element(
      "div",
      { class: "paste-row" },
      element("label", { for: rateId }, "Their learning rate"),
      rate,
      element("button", { type: "submit", class: "primary" }, "Diagnose"),
      example,
    ),
  );

  function take(files: FileList | null | undefined): void {
    const file = files?.[0];
    if (file === undefined) return;
    if (file.size > MOST_BYTES) onTrouble(TOO_LARGE);
    else onLog({ name: file.name, content: file });
  }

  function choose(): void {
    take(chooser.files);
    // Or the same file, mended, could not be chosen again.
    chooser.value = "";
  }

  function submit(event: Event): void {
    event.preventDefault();
    const problem = troubleIn(text.value, rate.value.trim());
    if (problem !== null) onTrouble(problem);
    else onLog(pastedLog(text.value, rate.value.trim() || null));
  }

  function submitByKey(event: KeyboardEvent): void {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
  }

  function tryExample(): void {
    text.value = EXAMPLE;
    rate.value = "0.9";
    onLog(pastedLog(EXAMPLE, rate.value));
  }

  function drop(event: DragEvent): void {
    event.preventDefault();
    zone.classList.remove("over");
    const isFolder = event.dataTransfer?.items[0]?.webkitGetAsEntry?.()?.isDirectory === true;
    if (isFolder) onTrouble("That is a folder. Drop one of the files in it.");
    else take(event.dataTransfer?.files);
  }

  // Anywhere on the page, so that a near miss does not open the file in the place of the page.
  const options = { signal: ended.signal };
  addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  }, options);
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) zone.classList.remove("over");
  }, options);
  addEventListener("drop", drop, options);

  const whole = element("div", { class: "intake" }, zone, chooser, form);
  return {
    element: whole,
    setCompact(compact, name = "") {
      whole.classList.toggle("compact", compact);
      setText(title, compact ? `${name} – drop or choose another log` : "Drop a training log here, or choose a file");
    },
    stop: () => ended.abort(),
  };
}
