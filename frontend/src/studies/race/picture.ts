/** What the picture of a race shows: its rounds, and the window to look through. */

import type { Probe, Recommendation } from "../contract";

const LOGARITHMIC_FROM = 3;
const ABOVE_START = 0.25;
const FAR = 30;
const NARROWEST = 1;
const MARGIN = 0.06;

/** Probes that took the same number of steps, by rate. */
export interface Round {
  steps: number;
  probes: Probe[];
}

export interface RacePicture {
  told: Recommendation;
  rounds: Round[];
  /** Every probe, round by round, as the arrow keys go along them. */
  probes: Probe[];
  rates: { low: number; high: number };
  losses: { low: number; high: number; logarithmic: boolean };
}

/** Make the picture of a race. */
export function racePicture(told: Recommendation): RacePicture {
  const rounds = roundsOf(told.probes);
  return { told, rounds, probes: rounds.flatMap((round) => round.probes), rates: rateWindow(told), losses: lossWindow(told) };
}

function roundsOf(probes: readonly Probe[]): Round[] {
  const lengths = [...new Set(probes.map((probe) => probe.steps))].sort((one, other) => one - other);
  return lengths.map((steps) => ({
    steps,
    probes: probes.filter((probe) => probe.steps === steps).sort((one, other) => one.lr - other.lr),
  }));
}

function rateWindow(told: Recommendation): { low: number; high: number } {
  const rates = [...told.probes.map((probe) => probe.lr), told.lr, told.low, told.high].filter((rate) => rate !== null);
  if (rates.length === 0) return { low: 0.1, high: 1 };
  const limit = told.max_stable_lr;
  if (limit !== null && isNear(limit, rates)) rates.push(limit);
  const [low, high] = [Math.log10(Math.min(...rates)), Math.log10(Math.max(...rates))];
  const margin = Math.max(MARGIN * (high - low), (NARROWEST - (high - low)) / 2);
  return { low: 10 ** (low - margin), high: 10 ** (high + margin) };
}

function isNear(limit: number, rates: readonly number[]): boolean {
  return limit >= Math.min(...rates) / FAR && limit <= Math.max(...rates) * FAR;
}

function lossWindow(told: Recommendation): RacePicture["losses"] {
  const scores = told.probes.map((probe) => probe.score).filter((score) => score !== null);
  const allPositive = Math.min(...scores, Infinity) > 0;
  const expected = [told.predicted_loss?.value, told.predicted_loss?.low, told.predicted_loss?.high];
  for (const loss of expected) if (typeof loss === "number" && (loss > 0 || !allPositive)) scores.push(loss);
  const start = told.start ?? Math.max(...scores, -Infinity);
  if (scores.length === 0) return padded(Number.isFinite(start) ? start - 1 : 0, Number.isFinite(start) ? start + 1 : 1);
  const lowest = Math.min(...scores);
  const top = Math.max(start, lowest) + ABOVE_START * Math.abs(start - lowest);
  const highest = Math.min(Math.max(start, ...scores), top);
  return padded(lowest, highest);
}

function padded(lowest: number, highest: number): RacePicture["losses"] {
  if (lowest > 0 && highest / lowest >= LOGARITHMIC_FROM) {
    const factor = (highest / lowest) ** MARGIN;
    return { low: lowest / factor, high: highest * factor, logarithmic: true };
  }
  const margin = highest > lowest ? MARGIN * (highest - lowest) : (Math.abs(highest) || 1) / 2;
  return { low: lowest - margin, high: highest + margin, logarithmic: false };
}
