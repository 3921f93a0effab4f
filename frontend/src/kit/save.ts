/** Files that the reader asks for. */

import { element } from "./element";

/** Offer some data as a file. */
export function save(data: Blob, name: string): void {
  const address = URL.createObjectURL(data);
  const link = element("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  // The browser has taken the data up by the next turn.
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

export function saveText(text: string, name: string): void {
  save(new Blob([text], { type: "text/csv;charset=utf-8" }), name);
}

export function savePicture(canvas: HTMLCanvasElement, name: string): void {
  canvas.toBlob((data) => {
    if (data !== null) save(data, name);
  }, "image/png");
}

/** Return a name for a file that every system takes. */
export function fileName(study: string, what: string, ending: string): string {
  const plain = study.normalize("NFKD").replace(/[^\w.-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "").slice(0, 80);
  return `${plain || "study"}-${what}.${ending}`;
}

/** A button of the quiet kind that stands below a picture or a table. */
export function saveButton(label: string, save: () => void): HTMLButtonElement {
  return element("button", { type: "button", class: "quiet", on: { click: save } }, label);
}
