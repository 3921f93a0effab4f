/** A picture with its title and its key. */

import { type Child, element } from "../kit/element";

export interface Key {
  readonly label: string;
  readonly role: string;
  readonly mark?: "line" | "dashed" | "dot" | "valley" | "patch";
}

/** Put a picture under its title, with the key to its colours. */
export function panel(name: string, title: string, picture: HTMLElement, keys: readonly Key[], ...extra: Child[]): HTMLElement {
  return element(
    "figure",
    { class: `panel ${name}` },
    element("header", {}, element("h3", {}, title), keyTo(keys), ...extra),
    element("div", { class: "frame" }, picture),
  );
}

function keyTo(keys: readonly Key[]): HTMLElement {
  return element(
    "p",
    { class: "key" },
    ...keys.map(({ label, role, mark = "line" }) => {
      const entry = element("span", { class: mark }, label);
      entry.style.setProperty("--mark", `var(--${role})`);
      return entry;
    }),
  );
}
