/** A slider with its name, its value and, where an exact one matters, a box for it. */

import { element, freshId, setText } from "../kit/element";

export interface SliderOptions {
  readonly name: string;
  /** The values that the slider runs through, rising. */
  readonly stops: readonly number[];
  /** How a value reads. */
  readonly format: (value: number) => string;
  /** A box to type an exact value in, with the bounds of what it takes. */
  readonly box?: { readonly low: number; readonly high: number; readonly step: number | "any" };
  readonly onChange: (value: number) => void;
}

export interface Slider {
  readonly element: HTMLElement;
  show(value: number): void;
  /** Mark the place of a value along the slider; one beyond its ends has no mark. */
  mark(value: number, label: string): void;
}

/** Make a slider. */
export function slider({ name, stops, format, box, onChange }: SliderOptions): Slider {
  const id = freshId("slider");
  const range = element("input", { type: "range", id, min: 0, max: stops.length - 1, step: 1 });
  const output = element("output", { for: id });
  const exact = box && element("input", {
    type: "number",
    min: box.low,
    max: box.high,
    step: box.step,
    inputmode: "decimal",
    "aria-label": `${name}, exactly`,
  });
  const mark = element("span", { class: "slider-mark", "aria-hidden": "true", hidden: true });
  range.addEventListener("input", () => onChange(stops[Number(range.value)]!));
  let shown = stops[0]!;
  exact?.addEventListener("change", () => {
    if (Number.isFinite(exact.valueAsNumber)) onChange(exact.valueAsNumber);
    else exact.value = String(shown);
  });
  const whole = element(
    "div",
    { class: "slider" },
    element("label", { for: id }, name),
    exact ?? output,
    element("div", { class: "slider-track" }, mark, range),
  );
  return {
    element: whole,
    show(value) {
      shown = value;
      const stop = String(nearest(stops, value));
      if (range.value !== stop) range.value = stop;
      const share = Number(stop) / (stops.length - 1);
      range.style.setProperty("--share", String(share));
      range.setAttribute("aria-valuetext", format(value));
      setText(output, format(value));
      if (exact && exact.valueAsNumber !== value) exact.value = String(value);
    },
    mark(value, label) {
      const inside = value >= stops[0]! && value <= stops.at(-1)!;
      mark.hidden = !inside;
      whole.classList.toggle("marked", inside);
      const share = placeAmong(stops, value) / (stops.length - 1);
      whole.style.setProperty("--mark", String(share));
      setText(mark, label);
    },
  };
}

function nearest(stops: readonly number[], value: number): number {
  return Math.round(placeAmong(stops, value));
}

/** Return where a value lies among rising ones, as an index with a fraction. */
function placeAmong(stops: readonly number[], value: number): number {
  let [low, high] = [0, stops.length - 1];
  if (value <= stops[low]!) return low;
  if (value >= stops[high]!) return high;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (stops[middle]! <= value) low = middle;
    else high = middle;
  }
  return low + (value - stops[low]!) / (stops[high]! - stops[low]!);
}

/** Return evenly spaced stops. */
export function evenStops(low: number, high: number, step: number): number[] {
  const count = Math.round((high - low) / step);
  return Array.from({ length: count + 1 }, (_, index) => Number((low + index * step).toFixed(6)));
}

/** Return stops an even ratio apart, as near as round numbers allow: 0.9, not 0.9036. */
export function logarithmicStops(low: number, high: number, perDecade: number): number[] {
  const count = Math.round(Math.log10(high / low) * perDecade);
  const stops = Array.from({ length: count + 1 }, (_, index) => round(low * 10 ** (index / perDecade)));
  return [...new Set(stops)];
}

function round(value: number): number {
  const power = Math.floor(Math.log10(value) + 1e-9);
  const mantissa = value / 10 ** power;
  const grain = mantissa < 2 ? 0.02 : mantissa < 5 ? 0.05 : 0.1;
  return Number(`${(Math.round(mantissa / grain) * grain).toFixed(2)}e${power}`);
}
