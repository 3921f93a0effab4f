/** Tabs, as the ARIA practices have them: arrow keys go along, and what is gone to is shown. */

import { element, freshId } from "../kit/element";

export interface Tabs<Name extends string> {
  readonly list: HTMLElement;
  readonly panel: HTMLElement;
  select(name: Name): void;
}

/** Make tabs over one panel.
 *
 * @param tabs - the name and the title of each.
 * @param onSelect - is told which tab the reader goes to.
 */
export function tabs<Name extends string>(tabs: readonly (readonly [Name, string])[], onSelect: (name: Name) => void): Tabs<Name> {
  const panel = element("div", { class: "tab-panel", role: "tabpanel", id: freshId("panel"), tabindex: -1 });
  const buttons = tabs.map(([name, title]) =>
    element(
      "button",
      { type: "button", role: "tab", id: freshId("tab"), "aria-controls": panel.id, "data-tab": name, on: { click: () => onSelect(name), keydown: key } },
      title,
    ),
  );

  function key(event: KeyboardEvent): void {
    const from = buttons.indexOf(event.currentTarget as HTMLButtonElement);
    const to = { ArrowRight: from + 1, ArrowLeft: from - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const index = (to + buttons.length) % buttons.length;
    buttons[index]!.focus();
    onSelect(tabs[index]![0]);
  }

  return {
    list: element("div", { class: "tabs", role: "tablist", "aria-label": "Views of the study" }, ...buttons),
    panel,
    select(name) {
      for (const button of buttons) {
        const isSelected = button.dataset["tab"] === name;
        button.setAttribute("aria-selected", String(isSelected));
        button.tabIndex = isSelected ? 0 : -1;
        if (isSelected) panel.setAttribute("aria-labelledby", button.id);
      }
    },
  };
}
