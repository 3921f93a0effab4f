/** Lines over an axis, on uPlot, with the axes and the marks that all our pictures share. */

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { element } from "../kit/element";
import { canvasFont, palette, type Role } from "../kit/palette";
import { onThemeChange } from "../kit/theme";
import { drawMarks, type Mark } from "./marks";
import { ticksOf } from "./scale";

export type { Mark } from "./marks";

export interface ChartAxis {
  /** The name of the axis. */
  readonly name: string;
  readonly logarithmic?: boolean;
  /** Name whole numbers only: there is no half step. */
  readonly whole?: boolean;
  /** The window, asked for at every drawing; without it the data's own, with a small margin. */
  range?(): readonly [low: number, high: number];
}

export interface ChartSeries {
  readonly label: string;
  /** A role of the palette, or a colour that is asked for at every drawing. */
  readonly colour: Role | (() => string);
  readonly width?: number;
  readonly dash?: readonly number[];
  /** Draw points of this size instead of a line; with `line` both. */
  readonly points?: number;
  readonly line?: boolean;
  readonly opacity?: number;
}

export interface ChartOptions {
  readonly x: ChartAxis;
  readonly y: ChartAxis;
  readonly series: readonly ChartSeries[];
  readonly description: string;
  /** Lines and dots drawn over the data, asked for at every drawing. */
  marks?(): readonly Mark[];
  /** The pointer is nearest to the data point of this index, or has left the chart (null). */
  onHover?(index: number | null): void;
}

/** Values along the chart; null leaves a gap. */
export type Column = ArrayLike<number | null>;

export interface LineChart {
  readonly element: HTMLElement;
  /** Show data: the places along x, rising, and for each series a value at each of them. */
  setData(xs: ArrayLike<number>, columns: readonly Column[]): void;
  /** Show other series; data for them must follow. */
  setSeries(series: readonly ChartSeries[]): void;
  setDescription(description: string): void;
  /** Draw the same data again, when a window or a mark has changed. */
  redraw(): void;
  picture(): HTMLCanvasElement;
  stop(): void;
}

/** Make a chart; put its `element` into a box whose height the style sheet sets. */
export function lineChart(options: ChartOptions): LineChart {
  const box = element("div", { class: "picture chart", role: "img", "aria-label": options.description });
  let series = options.series;
  let data: uPlot.AlignedData = [[], ...series.map(() => [])] as unknown as uPlot.AlignedData;
  let plot: uPlot | null = null;

  const size = () => ({ width: box.clientWidth, height: box.clientHeight });
  const build = () => {
    plot?.destroy();
    const { width, height } = size();
    plot = width && height ? new uPlot(plotOptions(options, series, width, height), data, box) : null;
  };
  const observer = new ResizeObserver(() => {
    const { width, height } = size();
    if (!plot) build();
    else if (width && height && (width !== plot.width || height !== plot.height)) plot.setSize({ width, height });
  });
  observer.observe(box);
  const stopTheme = onThemeChange(() => plot?.redraw(false, true));

  return {
    element: box,
    setData(xs, columns) {
      data = [xs, ...columns] as unknown as uPlot.AlignedData;
      plot?.setData(data, true);
    },
    setSeries(next) {
      series = next;
      data = [[], ...series.map(() => [])] as unknown as uPlot.AlignedData;
      if (plot) build();
    },
    setDescription(description) {
      box.setAttribute("aria-label", description);
    },
    redraw() {
      plot?.setData(data, true);
    },
    picture() {
      return onGround(plot?.ctx.canvas ?? document.createElement("canvas"));
    },
    stop() {
      observer.disconnect();
      stopTheme();
      plot?.destroy();
      plot = null;
    },
  };
}

function plotOptions(options: ChartOptions, series: readonly ChartSeries[], width: number, height: number): uPlot.Options {
  return {
    width,
    height,
    padding: [26, 12, 2, 0],
    legend: { show: false },
    cursor: cursorOf(options),
    scales: { x: { time: false, ...scaleOf(options.x, 0) }, y: scaleOf(options.y, 0.06) },
    axes: [axisOf(options.x, 70), axisOf(options.y, 40)],
    series: [{}, ...series.map(seriesOf)],
    hooks: {
      draw: [
        (plot) => {
          drawMarks(plot, options.marks?.() ?? []);
          drawAxisNames(plot, options);
        },
      ],
      setCursor: options.onHover ? [(plot) => options.onHover?.(plot.cursor.idx ?? null)] : [],
    },
  };
}

function cursorOf(options: ChartOptions): uPlot.Cursor {
  const show = options.onHover !== undefined;
  return { show, drag: { x: false, y: false }, points: { show: false }, y: false };
}

function scaleOf({ logarithmic = false, range }: ChartAxis, margin: number): uPlot.Scale {
  const window = (_: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax => {
    const [from, to] = range?.() ?? padded(low, high, margin, logarithmic);
    return [from, to];
  };
  return { distr: logarithmic ? 3 : 1, log: 10, range: window };
}

/** Return a window with a margin on both sides; where there is nothing yet, a decade. */
function padded(low: number | null, high: number | null, margin: number, logarithmic: boolean): [number, number] {
  if (low === null || high === null) return logarithmic ? [0.1, 1] : [0, 1];
  if (low === high) return logarithmic ? [low / 2, low * 2] : [low - (Math.abs(low) || 1) / 2, low + (Math.abs(low) || 1) / 2];
  if (!logarithmic) return [low - margin * (high - low), high + margin * (high - low)];
  const factor = (high / low) ** margin;
  return [low / factor, high * factor];
}

function axisOf({ logarithmic = false, whole = false }: ChartAxis, space: number): uPlot.Axis {
  const upright = space < 60;
  const ticks = (low: number, high: number, about: number) =>
    ticksOf(low, high, about, logarithmic).filter(({ at }) => !whole || Number.isInteger(at));
  return {
    stroke: () => palette().muted,
    font: canvasFont(11),
    size: upright ? 46 : 36,
    gap: 5,
    space,
    splits: (plot, axis, low, high) => {
      const room = (axis ? plot.bbox.height : plot.bbox.width) / devicePixelRatio;
      return ticks(low, high, room / space).filter(({ label }) => label).map(({ at }) => at);
    },
    filter: (_, splits) => splits,
    values: (plot, splits, axis) => {
      const scale = plot.scales[axis ? "y" : "x"]!;
      const labels = new Map(ticks(scale.min!, scale.max!, splits.length).map(({ at, label }) => [at, label]));
      const room = (axis ? plot.bbox.height : plot.bbox.width) / devicePixelRatio;
      for (const { at, label } of ticks(scale.min!, scale.max!, room / space)) labels.set(at, label);
      return splits.map((split) => labels.get(split) ?? "");
    },
    grid: { show: upright, stroke: () => palette().rule, width: 1 },
    ticks: { show: !upright, stroke: () => palette().rule, size: 4, width: 1 },
  };
}

function seriesOf({ label, colour, width = 1.75, dash, points, line = points === undefined, opacity }: ChartSeries): uPlot.Series {
  const stroke = () => (typeof colour === "function" ? colour() : palette()[colour]);
  return {
    label,
    stroke,
    alpha: opacity ?? 1,
    width: line ? width : 0,
    spanGaps: false,
    // Whole pixels would turn a slanting line into steps.
    pxAlign: 0,
    ...(dash && { dash: [...dash] }),
    ...(line ? {} : { paths: () => null }),
    points: points === undefined ? { show: false } : { show: hasRoomFor(points, line), size: points, width: 0, fill: stroke, stroke },
  };
}

/** Points on a line are left out where they would run into each other; without a line they are all there is. */
function hasRoomFor(size: number, line: boolean): (plot: uPlot, series: number, first: number, last: number) => boolean {
  return (plot, _, first, last) => !line || (last - first) * size * 1.6 < plot.width;
}

/** Write the name of the upright axis above its ticks, so that nobody has to tilt the head, and the other's at its end. */
function drawAxisNames(plot: uPlot, { x, y }: ChartOptions): void {
  const { ctx: context, bbox } = plot;
  const ratio = devicePixelRatio;
  context.save();
  context.font = canvasFont(11 * ratio);
  context.fillStyle = palette().muted;
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
  context.fillText(y.name, 2 * ratio, bbox.top - 10 * ratio);
  context.textAlign = "right";
  context.textBaseline = "bottom";
  context.fillText(x.name, bbox.left + bbox.width, bbox.top + bbox.height + 36 * ratio);
  context.restore();
}

function onGround(drawn: HTMLCanvasElement): HTMLCanvasElement {
  const whole = document.createElement("canvas");
  whole.width = drawn.width;
  whole.height = drawn.height;
  const context = whole.getContext("2d")!;
  context.fillStyle = palette().raised;
  context.fillRect(0, 0, whole.width, whole.height);
  context.drawImage(drawn, 0, 0);
  return whole;
}
