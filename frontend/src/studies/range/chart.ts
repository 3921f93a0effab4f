/** The picture of a range test: every loss faintly, their smoothed level, and where each rule finds a learning rate. */

import { element, fill, setText } from "../../kit/element";
import { framed, type KeyEntry } from "../../kit/framed";
import { counted, general } from "../../kit/numbers";
import { palette } from "../../kit/palette";
import { lineChart, type ChartSeries, type LineChart } from "../../pictures/line_chart";
import type { RateLine, StudyRangeTest } from "../contract";
import { overOneAxis, type Point } from "../curves/columns";
import { foundOf, lookOf, marksOf, ratesOf } from "./marks";

/** How many heights of the window a line may run beyond it: so far out its cut is not seen, and no number overflows. */
const FAR = 1e3;
const HINT = "Point at the picture to read the losses at a rate.";

export interface RangeChart {
  readonly element: HTMLElement;
  show(test: StudyRangeTest, sentence: string): void;
  /** Return the chart as a picture that stands alone. */
  picture(title: string, subtitle: string): HTMLCanvasElement;
  stop(): void;
}

interface Entry extends KeyEntry {
  rule?: string;
  /** The role of a line's colour. */
  line?: "loss" | "smoothed";
  chosen?: boolean;
}

/** Make an empty chart. */
export function rangeChart(): RangeChart {
  const key = element("div", { class: "key" });
  const place = element("div", { class: "range-place" });
  const said = element("p", { class: "at" }, HINT);
  let chart: LineChart | null = null;
  let shown: StudyRangeTest | null = null;
  let over: ReturnType<typeof overOneAxis> = { xs: [], lines: [], points: [] };

  function read(index: number | null): void {
    const x = index === null ? undefined : over.xs[index];
    if (x === undefined) return setText(said, HINT);
    const values = over.lines.map((line) => line[index!] ?? null);
    const losses = values.slice(0, -1).map((value) => (value === null ? "none" : general(value)));
    const level = values.at(-1) ?? null;
    setText(said, `At rate ${general(x, 3)}: loss ${losses.join(" · ")}${level === null ? "" : `, smoothed ${general(level)}`}.`);
  }

  function build(test: StudyRangeTest): LineChart {
    chart?.stop();
    const made = lineChart({
      x: { name: "learning rate", logarithmic: true, range: () => ratesOf(shown!) },
      y: { name: `${test.watched} loss`, range: () => [shown!.low, shown!.high] },
      series: seriesOf(test),
      marks: () => marksOf(shown!),
      description: "",
      onHover: read,
    });
    fill(place, made.element);
    return made;
  }

  return {
    element: element("figure", { class: "range-figure" }, key, place, said),
    show(test, sentence) {
      const isNew = chart === null || shown?.repeats.length !== test.repeats.length || shown.watched !== test.watched;
      shown = test;
      if (isNew) chart = build(test);
      over = overOneAxis([...test.repeats, test.smoothed].map((line) => pointsOf(line, test)));
      chart!.setData(over.xs, over.lines);
      chart!.setDescription(`The ${test.watched} loss against the learning rate, which rises at every step. ${sentence}`);
      fill(key, ...entriesOf(test).map(keyEntry));
    },
    picture(title, subtitle) {
      const entries = shown === null ? [] : entriesOf(shown);
      return framed(chart?.picture() ?? document.createElement("canvas"), title, subtitle, entries);
    },
    stop: () => chart?.stop(),
  };
}

function seriesOf({ repeats }: StudyRangeTest): ChartSeries[] {
  const losses = repeats.map(({ seed }) => ({ label: `seed ${seed}`, colour: "loss" as const, width: 1, opacity: 0.65 }));
  return [...losses, { label: "smoothed", colour: "smoothed", width: 2.25 }];
}

/** Return a line as it can be drawn: an explosion is cut where it has long left the picture. */
function pointsOf({ lrs, losses }: RateLine, { low, high }: StudyRangeTest): Point[] {
  const far = FAR * (high - low);
  return lrs.map((lr, index) => {
    const loss = losses[index] ?? null;
    return [lr, loss === null ? null : Math.min(high + far, Math.max(low - far, loss))];
  });
}

function entriesOf(test: StudyRangeTest): Entry[] {
  const several = test.repeats.length > 1;
  const { loss, smoothed } = palette();
  return [
    { text: `${test.watched} loss${several ? ` of ${counted(test.repeats.length, "repeat")}` : ""}`, colour: loss, line: "loss" },
    { text: several ? "smoothed mean" : "smoothed", colour: smoothed, line: "smoothed" },
    ...foundOf(test).map(({ rule, lr, chosen }) => ({
      text: `${rule}: ${general(lr, 2)}`,
      colour: palette()[lookOf(rule).role],
      rule,
      chosen,
    })),
  ];
}

function keyEntry({ text, rule, line, chosen }: Entry): HTMLElement {
  if (rule === undefined) return element("span", { "data-line": line }, text);
  return element("span", { class: lookOf(rule).shape, "data-rule": rule }, chosen ? element("b", {}, text) : text);
}
