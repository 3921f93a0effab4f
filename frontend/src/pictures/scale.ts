/** Scales: from values to places on a picture and back, and the ticks along them. */

import { general, powerOfTen } from "../kit/numbers";

export interface Scale {
  readonly low: number;
  readonly high: number;
  readonly logarithmic: boolean;
  /** The place of a value, in pixels. */
  place(value: number): number;
  /** The value at a place. */
  value(place: number): number;
}

export interface Tick {
  readonly at: number;
  /** Empty for the small ticks between the named ones. */
  readonly label: string;
}

/** Return the scale that puts `low` at one place and `high` at another. */
export function scaleBetween(low: number, high: number, from: number, to: number, logarithmic = false): Scale {
  const forth = logarithmic ? Math.log : (value: number) => value;
  const back = logarithmic ? Math.exp : (value: number) => value;
  const [start, end] = [forth(low), forth(high)];
  const slope = (to - from) / (end - start || 1);
  return {
    low,
    high,
    logarithmic,
    place: (value) => from + (forth(value) - start) * slope,
    value: (place) => back(start + (place - from) / slope),
  };
}

/** Return about so many ticks at round values. */
export function ticksOf(low: number, high: number, about: number, logarithmic = false): Tick[] {
  if (!(high > low)) return [{ at: low, label: general(low, 3) }];
  return logarithmic ? logarithmicTicks(low, high, about) : linearTicks(low, high, about);
}

function linearTicks(low: number, high: number, about: number): Tick[] {
  const step = roundStep((high - low) / Math.max(1, about));
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => {
    const at = Number(((first + index) * step).toPrecision(12));
    return { at, label: general(at, 5) };
  });
}

/** Return 1, 2 or 5 times a power of ten, the smallest that is not below what is asked. */
function roundStep(atLeast: number): number {
  const power = 10 ** Math.floor(Math.log10(atLeast));
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= atLeast * (1 - 1e-9)) ?? 10;
  return factor * power;
}

function logarithmicTicks(low: number, high: number, about: number): Tick[] {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  if (last - first < 1) return withinADecade(low, high, about);
  const every = Math.max(1, Math.ceil((last - first) / Math.max(1, about)));
  const ticks: Tick[] = [];
  for (let exponent = first - 1; exponent <= last; exponent += 1) {
    for (const factor of every === 1 ? [1, 2, 3, 4, 5, 6, 7, 8, 9] : [1]) {
      const at = Number(`${factor}e${exponent}`);
      if (at < low * (1 - 1e-9) || at > high * (1 + 1e-9)) continue;
      const named = factor === 1 && (exponent - first) % every === 0;
      ticks.push({ at, label: named ? decade(exponent) : "" });
    }
  }
  return ticks;
}

function withinADecade(low: number, high: number, about: number): Tick[] {
  return linearTicks(low, high, about).filter(({ at }) => at > 0);
}

function decade(exponent: number): string {
  return exponent >= -3 && exponent <= 3 ? general(10 ** exponent) : powerOfTen(exponent);
}
