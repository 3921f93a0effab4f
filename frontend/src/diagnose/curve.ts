/** The curve of a log: its losses, smoothed where they are noisy, its evaluations, and where the numbers end. */

import { general } from "../kit/numbers";
import { lineChart, type ChartSeries, type LineChart, type Mark } from "../pictures/line_chart";
import type { Diagnosed, LogCurve } from "./contract";

const DECADES = 2;
const MARGIN = 0.05;
const USUAL = 0.75;
const FAR = 10;
const FEW = 50;

interface Window {
  low: number;
  high: number;
  logarithmic: boolean;
}

/** Draw the curve of a diagnosis. */
export function logCurve(answer: Diagnosed): LineChart {
  const { curve } = answer;
  const window = windowOf(curve);
  const places = placesOf(curve);
  const chart = lineChart({
    x: { name: "step" },
    y: { name: "loss", logarithmic: window.logarithmic, range: () => [window.low, window.high] },
    series: seriesOf(curve),
    marks: () => marksOf(answer),
    description: `The losses of ${answer.run} along ${curve.steps.length} steps. ${answer.sentences.join(" ")}`,
  });
  const fits = (value: number | null): number | null => (value !== null && (!window.logarithmic || value > 0) ? value : null);
  const over = (steps: readonly number[], values: readonly (number | null)[]): (number | null)[] => {
    const known = new Map(steps.map((step, index) => [step, fits(values[index] ?? null)]));
    return places.map((step) => known.get(step) ?? null);
  };
  const columns = [lineOver(places, curve.steps, curve.losses.map(fits))];
  if (curve.smoothed !== null) columns.push(lineOver(places, curve.steps, curve.smoothed.map(fits)));
  if (hasEvaluations(curve)) columns.push(over(curve.evaluated_at ?? [], curve.evaluations ?? []));
  chart.setData(places, columns);
  return chart;
}

/** What the lines are called, with the roles of their colours. */
export function seriesOf(curve: LogCurve): ChartSeries[] {
  const series: ChartSeries[] = [{ label: "training loss", colour: "loss", width: curve.smoothed === null ? 1.75 : 1 }];
  if (curve.smoothed !== null) series.push({ label: "smoothed", colour: "smoothed", width: 2.25 });
  if (hasEvaluations(curve)) {
    const few = (curve.evaluations?.length ?? 0) <= FEW;
    series.push({ label: "evaluation loss", colour: "path", points: few ? 6 : 3 });
  }
  return series;
}

function hasEvaluations(curve: LogCurve): boolean {
  return (curve.evaluations?.length ?? 0) > 0;
}

function placesOf(curve: LogCurve): number[] {
  return [...new Set([...curve.steps, ...(curve.evaluated_at ?? [])])].sort((one, other) => one - other);
}

/** Put a line over places that hold its own and others between them, where it goes straight. */
function lineOver(places: readonly number[], steps: readonly number[], values: readonly (number | null)[]): (number | null)[] {
  let next = 0;
  return places.map((place) => {
    while (next < steps.length - 1 && steps[next]! < place) next += 1;
    const [right, high] = [steps[next]!, values[next] ?? null];
    if (right === place) return high;
    const [left, low] = [steps[next - 1], values[next - 1] ?? null];
    if (left === undefined || left > place || right < place || low === null || high === null) return null;
    return low + ((high - low) * (place - left)) / (right - left);
  });
}

function marksOf({ diagnosis, curve }: Diagnosed): Mark[] {
  const first = diagnosis.evidence["first_non_finite"];
  if (typeof first !== "number" || curve.steps.length === 0) return [];
  return [{ role: "diverged", x: first, dashed: true, label: `not finite from step ${general(first, 8)}` }];
}

/** Return the heights between which to look: logarithmic where that shows more, and without an explosion. */
function windowOf(curve: LogCurve): Window {
  const values = [...curve.losses, ...(curve.evaluations ?? [])].filter((value) => value !== null).sort((one, other) => one - other);
  const lowest = values[0];
  let highest = values.at(-1);
  if (lowest === undefined || highest === undefined) return { low: 0, high: 1, logarithmic: false };
  if (lowest > 0 && Math.log10(highest / lowest) > DECADES) {
    const factor = (highest / lowest) ** MARGIN;
    return { low: lowest / factor, high: highest * factor, logarithmic: true };
  }
  const usual = values[Math.floor(USUAL * (values.length - 1))]!;
  if (usual > lowest) highest = Math.min(highest, usual + FAR * (usual - lowest));
  const margin = highest > lowest ? MARGIN * (highest - lowest) : (Math.abs(highest) || 1) / 2;
  return { low: lowest - margin, high: highest + margin, logarithmic: false };
}
