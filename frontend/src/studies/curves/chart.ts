/** The chart of some runs' curves, with a legend that reads them at the pointer. */

import { element, fill, setText } from "../../kit/element";
import { framed } from "../../kit/framed";
import { counted, general } from "../../kit/numbers";
import { outcomeName } from "../../kit/outcomes";
import { seriesColour } from "../../kit/palette";
import { onThemeChange, theme } from "../../kit/theme";
import { colourAt, css, viridis } from "../../pictures/colours";
import { lineChart, type ChartSeries, type LineChart } from "../../pictures/line_chart";
import type { RunCurve } from "../contract";
import { sameRate } from "../state";
import { columnsOf, type Columns } from "./columns";
import { windowOf, type Window } from "./window";

const MANY_POINTS = 60;
/** With more curves than this only their levels are drawn, since the noise of so many hides them all. */
const MANY_CURVES = 12;

export interface CurvesShown {
  curves: readonly RunCurve[];
  /** The rates that the reader chose, in that order; none where the curves are a few of all. */
  chosen: readonly number[];
  logLoss: boolean;
  logSteps: boolean;
  smooth: boolean;
}

export interface CurveChart {
  readonly element: HTMLElement;
  show(shown: CurvesShown): void;
  /** Return the chart as a picture that stands alone. */
  picture(title: string): HTMLCanvasElement;
  stop(): void;
}

/** Make an empty chart of curves. */
export function curveChart(): CurveChart {
  const place = element("div", { class: "chart-place" });
  const legend = element("ul", { class: "legend" });
  const at = element("span", { class: "value" });
  const note = element("span");
  let chart: LineChart | null = null;
  let kind = "";
  let shown: CurvesShown | null = null;
  let columns: Columns = { xs: [], losses: [], levels: [], evaluations: [] };
  let levels: (number | null)[][] = [];
  let window: Window = { low: 0, high: 1 };
  let entries: { lr: number; value: HTMLElement; lines: number[] }[] = [];

  function read(index: number | null): void {
    const x = index === null ? undefined : columns.xs[index];
    setText(at, x === undefined ? "" : `at step ${general(x, 8)}`);
    for (const entry of entries) {
      const values = entry.lines.map((line) => (index === null ? null : levels[line]?.[index])).filter((value) => typeof value === "number");
      setText(entry.value, values.length === 0 ? "" : values.map((value) => general(value)).join(" · "));
    }
  }

  function build(series: ChartSeries[], logSteps: boolean, logLoss: boolean): void {
    chart?.stop();
    chart = lineChart({
      x: { name: "step", logarithmic: logSteps },
      y: { name: "loss", logarithmic: logLoss, range: () => [window.low, window.high] },
      series,
      description: "",
      onHover: read,
    });
    fill(place, chart.element);
  }

  function showLegend(next: CurvesShown): void {
    entries = legendOf(next);
    fill(legend, ...entries.map((entry) => legendItem(next, entry)));
  }

  const stopTheme = onThemeChange(() => shown !== null && showLegend(shown));
  return {
    element: element("div", { class: "curves" }, place, element("p", { class: "at" }, note, at), legend),
    show(next) {
      shown = next;
      const logarithmic = next.logLoss && areAboveZero(next.curves);
      columns = columnsOf(next.curves, {
        x: (value) => !next.logSteps || value > 0,
        y: (value) => !logarithmic || value > 0,
      });
      const noisy = next.smooth && next.curves.some((curve) => curve.smoothed !== null);
      levels = noisy ? columns.levels : columns.losses;
      const raw = noisy && next.curves.length <= MANY_CURVES ? columns.losses : [];
      const series = seriesOf(next, columns, raw.length > 0);
      window = windowOf(next.curves, [...raw, ...levels, ...columns.evaluations], logarithmic);
      const wanted = `${next.logSteps} ${logarithmic}`;
      if (chart === null || kind !== wanted) build(series, next.logSteps, logarithmic);
      else chart.setSeries(series);
      kind = wanted;
      chart!.setData(columns.xs, [...raw, ...levels, ...columns.evaluations]);
      setText(note, noisy ? (raw.length > 0 ? "Bold: the level of noisy losses. Faint: every loss." : "The level of noisy losses.") : "");
      chart!.setDescription(descriptionOf(next));
      showLegend(next);
    },
    picture(title) {
      const key = entries.map(({ lr }) => ({ text: general(lr), colour: colourOf(shown!, lr) }));
      return framed(chart?.picture() ?? document.createElement("canvas"), title, "Loss along the steps, by learning rate", key);
    },
    stop() {
      stopTheme();
      chart?.stop();
    },
  };
}

function areAboveZero(curves: readonly RunCurve[]): boolean {
  return curves.every((curve) => [...curve.losses, ...curve.evaluations].every((loss) => loss === null || loss > 0));
}

function seriesOf(shown: CurvesShown, columns: Columns, withRaw: boolean): ChartSeries[] {
  const lines = shown.curves.map((curve) => ({ label: general(curve.lr), colour: () => colourOf(shown, curve.lr), width: 1.75 }));
  const raw = withRaw ? lines.map((line) => ({ ...line, width: 1, opacity: 0.22 })) : [];
  const points = shown.curves.map((curve, index) => {
    const count = columns.evaluations[index]!.filter((value) => value !== null).length;
    return { label: `${general(curve.lr)}, evaluated`, colour: () => colourOf(shown, curve.lr), points: count > MANY_POINTS ? 3 : 6 };
  });
  return [...raw, ...lines, ...points];
}

/** Chosen rates have colours that are far apart; many have the colours of a scale, from low to high. */
function colourOf({ curves, chosen }: CurvesShown, lr: number): string {
  const index = chosen.findIndex((other) => sameRate(other, lr));
  if (index >= 0) return seriesColour(index);
  const all = distinct(curves);
  const share = all.length < 2 ? 0.5 : all.findIndex((other) => sameRate(other, lr)) / (all.length - 1);
  return css(colourAt(viridis, theme() === "dark" ? 0.2 + 0.8 * share : 0.92 * share));
}

function distinct(curves: readonly RunCurve[]): number[] {
  const sorted = curves.map((curve) => curve.lr).sort((one, other) => one - other);
  return sorted.filter((lr, index) => index === 0 || !sameRate(lr, sorted[index - 1]!));
}

function legendOf(shown: CurvesShown): { lr: number; value: HTMLElement; lines: number[] }[] {
  const order = shown.chosen.length > 0 ? shown.chosen : distinct(shown.curves);
  return order.map((lr) => ({
    lr,
    value: element("span", { class: "value" }),
    lines: shown.curves.flatMap((curve, index) => (sameRate(curve.lr, lr) ? [index] : [])),
  }));
}

function legendItem(shown: CurvesShown, { lr, value, lines }: { lr: number; value: HTMLElement; lines: number[] }): HTMLElement {
  const swatch = element("span", { class: "swatch", "aria-hidden": "true" });
  swatch.style.backgroundColor = colourOf(shown, lr);
  const outcomes = [...new Set(lines.map((line) => outcomeName(shown.curves[line]!.outcome)))].join(", ");
  const runs = lines.length > 1 ? `, ${counted(lines.length, "run")}` : "";
  return element("li", {}, swatch, element("b", {}, general(lr)), element("span", { class: "muted" }, `${outcomes || "no run yet"}${runs}`), value);
}

function descriptionOf({ curves }: CurvesShown): string {
  const all = distinct(curves);
  const between = all.length > 1 ? `from ${general(all[0]!)} to ${general(all.at(-1)!)}` : all.map((lr) => general(lr)).join();
  return `Losses along ${counted(curves.length, "run")} at learning rates ${between}; circles are evaluations.`;
}
