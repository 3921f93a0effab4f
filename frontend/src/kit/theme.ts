/** Light or dark: as the reader chose, or else as the notebook around the widget or the system has it. */

import { element } from "./element";

export type Theme = "light" | "dark";

const KEY = "lrscout-theme";
const listeners = new Set<() => void>();
const system = typeof matchMedia === "undefined" ? null : matchMedia("(prefers-color-scheme: dark)");
let choice: Theme | null = null;

/** Return the theme in use. */
export function theme(): Theme {
  return choice ?? notebookTheme() ?? (system?.matches ? "dark" : "light");
}

/** Hear of every change of the theme, after the colours have changed; returns how to stop. */
export function onThemeChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Dress everything of ours in the theme, now and whenever the system's changes; returns how to stop. */
export function startTheme({ remembered = true } = {}): () => void {
  if (remembered) choice = kept();
  apply();
  system?.addEventListener("change", apply);
  return () => system?.removeEventListener("change", apply);
}

/** Return the button that turns light into dark and back; `stop` ends its listening. */
export function themeButton(): { element: HTMLButtonElement; stop: () => void } {
  const button = element("button", { type: "button", class: "theme-button", on: { click: turn } });
  const label = () => {
    button.title = `Switch to the ${other()} theme`;
    button.setAttribute("aria-label", button.title);
  };
  label();
  return { element: button, stop: onThemeChange(label) };
}

function turn(): void {
  choice = other();
  try {
    localStorage.setItem(KEY, choice);
  } catch {
    // Where nothing may be kept, the choice lasts as long as the page.
  }
  apply();
}

function apply(): void {
  const roots = document.querySelectorAll<HTMLElement>(".lrscout");
  for (const root of roots) root.dataset["theme"] = theme();
  for (const listener of [...listeners]) listener();
}

function other(): Theme {
  return theme() === "dark" ? "light" : "dark";
}

function kept(): Theme | null {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : null;
  } catch {
    return null;
  }
}

function notebookTheme(): Theme | null {
  const light = document.body.dataset["jpThemeLight"];
  return light === undefined ? null : light === "true" ? "light" : "dark";
}
