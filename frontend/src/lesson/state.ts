/** What the reader has chosen, in the address and back. */

import type { Values } from "../kit/address";
import { RATES, MOST_STEPS } from "./lr_map";

export type Look = "steps" | "range";

export interface State {
  readonly lr: number;
  readonly steps: number;
  readonly w: number;
  readonly b: number;
  readonly noise: number;
  readonly momentum: number;
  /** What the picture of the loss shows: the loss at each step, or the range test. */
  readonly look: Look;
}

type Numbers = Exclude<keyof State, "look">;

/** Between which values each choice lies. */
export const BOUNDS: Readonly<Record<Numbers, readonly [low: number, high: number]>> = {
  lr: [RATES.low, RATES.high],
  steps: [1, MOST_STEPS],
  w: [-2, 2],
  b: [-2, 3],
  noise: [0, 5],
  momentum: [0, 0.99],
};

/** Where the lesson opens: too large a rate, three steps. */
export const OPENING: State = { lr: 0.9, steps: 3, w: 0, b: -1, noise: 1, momentum: 0, look: "steps" };

/** Return a choice as near to what is asked as its bounds allow, or what there was where nothing is asked. */
export function within(name: Numbers, value: number, otherwise: number): number {
  if (!Number.isFinite(value)) return otherwise;
  const [low, high] = BOUNDS[name];
  const inside = Math.min(high, Math.max(low, value));
  return name === "steps" ? Math.round(inside) : inside;
}

/** Read the choices from an address; what it leaves out, or gets wrong, is as at the opening. */
export function stateFrom(values: URLSearchParams): State {
  const read = (name: Numbers) => within(name, Number.parseFloat(values.get(name) ?? ""), OPENING[name]);
  return {
    lr: read("lr"),
    steps: read("steps"),
    w: read("w"),
    b: read("b"),
    noise: read("noise"),
    momentum: read("momentum"),
    look: values.get("look") === "range" ? "range" : "steps",
  };
}

/** Write the choices for an address. */
export function valuesOf({ look, ...numbers }: State): Values {
  return { ...numbers, look: look === "range" ? look : null };
}
