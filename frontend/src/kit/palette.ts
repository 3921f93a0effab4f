/** The colours by role, as the style sheet gives them for the theme in use. */

import { onThemeChange } from "./theme";

const ROLES = [
  "ground", "raised", "ink", "muted", "faint", "rule", "accent",
  "loss", "smoothed", "diverged", "points", "truth", "least-squares", "path", "limit", "worse", "good", "evaluation",
  "series-1", "series-2", "series-3", "series-4", "series-5", "series-6",
] as const;

export type Role = (typeof ROLES)[number];
export type Palette = Readonly<Record<Role, string>>;

let known: Palette | null = null;
onThemeChange(() => {
  known = null;
});

/** Return the colour of every role. It is read from the style sheet once for each theme. */
export function palette(): Palette {
  known ??= read();
  return known;
}

/** Return the colour of the n-th of several lines; after the sixth they begin again. */
export function seriesColour(index: number): string {
  return palette()[`series-${(index % 6) + 1}` as Role];
}

/** The font of text on a canvas, at a size in CSS pixels. */
export function canvasFont(size: number, weight = 400): string {
  return `${weight} ${size}px ${FONT}`;
}

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif';

function read(): Palette {
  const host = document.querySelector(".lrscout") ?? document.documentElement;
  const style = getComputedStyle(host);
  return Object.fromEntries(ROLES.map((role) => [role, style.getPropertyValue(`--${role}`).trim()])) as Palette;
}
