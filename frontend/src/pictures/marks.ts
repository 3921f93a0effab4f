/** What is marked on a chart: levels with a name, and single places. */

import type uPlot from "uplot";
import { canvasFont, palette, type Role } from "../kit/palette";

export type Shape = "circle" | "triangle" | "diamond" | "square";

export interface Mark {
  readonly role: Role;
  /** A line across at this y, or upright at this x; with both, a dot, or with `text` the label alone. */
  readonly x?: number;
  readonly y?: number;
  readonly label?: string;
  readonly dashed?: boolean;
  readonly text?: boolean;
  /** Where the label of a dot or of a text stands: above it, unless there is no room. */
  readonly below?: boolean;
  /** Where the label of an upright line stands, and on which side of it; on the right while there is room. */
  readonly at?: "top" | "bottom";
  readonly side?: "left";
  /** What a dot looks like, a circle by default, and from its middle to its edge, in CSS pixels. */
  readonly shape?: Shape;
  readonly radius?: number;
  /** Between which x the mark may as well stand: a whisker through a dot, a shade behind an upright line. */
  readonly interval?: readonly [low: number, high: number];
}

const RADIUS = 5;
const SHADE = 0.16;
/** The corners of each shape, around its middle, in radii. */
const CORNERS: Record<Exclude<Shape, "circle">, readonly (readonly [x: number, y: number])[]> = {
  triangle: [[0, -1.1], [1.05, 0.8], [-1.05, 0.8]],
  diamond: [[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]],
  square: [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
};

/** Draw marks over the data of a chart. */
export function drawMarks(plot: uPlot, marks: readonly Mark[]): void {
  const { ctx: context, bbox } = plot;
  context.save();
  context.beginPath();
  // A dot on the edge is seen whole.
  const room = 7 * devicePixelRatio;
  context.rect(bbox.left - room, bbox.top - room, bbox.width + 2 * room, bbox.height + 2 * room);
  context.clip();
  for (const mark of marks) drawMark(context, plot, mark);
  context.restore();
}

function drawMark(context: CanvasRenderingContext2D, plot: uPlot, mark: Mark): void {
  const x = mark.x === undefined ? null : plot.valToPos(mark.x, "x", true);
  const y = mark.y === undefined ? null : plot.valToPos(mark.y, "y", true);
  const colour = palette()[mark.role];
  if (mark.interval) drawInterval(context, plot, y, colour, mark.interval);
  if (x !== null && y !== null) {
    if (!mark.text) drawDot(context, x, y, colour, mark);
  } else drawLevel(context, plot, x, y, colour, mark.dashed ?? false);
  if (mark.label) drawLabel(context, plot, x, y, colour, mark);
}

function drawInterval(
  context: CanvasRenderingContext2D,
  plot: uPlot,
  y: number | null,
  colour: string,
  interval: readonly [number, number],
): void {
  const [left, right] = interval.map((x) => plot.valToPos(x, "x", true)) as [number, number];
  if (y === null) {
    context.globalAlpha = SHADE;
    context.fillStyle = colour;
    context.fillRect(left, plot.bbox.top, right - left, plot.bbox.height);
    context.globalAlpha = 1;
    return;
  }
  const cap = 3.5 * devicePixelRatio;
  context.beginPath();
  context.moveTo(left, y);
  context.lineTo(right, y);
  for (const end of [left, right]) {
    context.moveTo(end, y - cap);
    context.lineTo(end, y + cap);
  }
  context.strokeStyle = colour;
  context.lineWidth = 1.5 * devicePixelRatio;
  context.stroke();
}

function drawDot(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  colour: string,
  { shape = "circle", radius = RADIUS }: Mark,
): void {
  const size = radius * devicePixelRatio;
  context.beginPath();
  if (shape === "circle") context.arc(x, y, size, 0, 2 * Math.PI);
  else for (const [right, down] of CORNERS[shape]) context.lineTo(x + right * size, y + down * size);
  context.closePath();
  context.fillStyle = colour;
  context.fill();
  context.lineWidth = 2 * devicePixelRatio;
  context.strokeStyle = palette().raised;
  context.stroke();
}

function drawLevel(
  context: CanvasRenderingContext2D,
  { bbox }: uPlot,
  x: number | null,
  y: number | null,
  colour: string,
  dashed: boolean,
): void {
  context.beginPath();
  if (y !== null) {
    context.moveTo(bbox.left, y);
    context.lineTo(bbox.left + bbox.width, y);
  } else if (x !== null) {
    context.moveTo(x, bbox.top);
    context.lineTo(x, bbox.top + bbox.height);
  }
  context.strokeStyle = colour;
  context.lineWidth = 1.25 * devicePixelRatio;
  context.setLineDash(dashed ? [5 * devicePixelRatio, 4 * devicePixelRatio] : []);
  context.stroke();
  context.setLineDash([]);
}

function drawLabel(
  context: CanvasRenderingContext2D,
  { bbox }: uPlot,
  x: number | null,
  y: number | null,
  colour: string,
  { label = "", at = "top", side, below = false }: Mark,
): void {
  const gap = 6 * devicePixelRatio;
  context.font = canvasFont(11 * devicePixelRatio, 600);
  context.fillStyle = colour;
  context.strokeStyle = palette().raised;
  context.lineWidth = 3 * devicePixelRatio;
  context.lineJoin = "round";
  const width = context.measureText(label).width;
  const hasRoomOnTheLeft = x !== null && x - gap - width >= bbox.left;
  const leftwards = x !== null && ((side === "left" && hasRoomOnTheLeft) || x + gap + width > bbox.left + bbox.width);
  context.textAlign = x === null || leftwards ? "right" : "left";
  const across = x === null ? bbox.left + bbox.width - gap : leftwards ? x - gap : x + gap;
  const atBottom = y === null && at === "bottom";
  const under = below || (y !== null && y < bbox.top + 4 * gap);
  context.textBaseline = (y === null ? atBottom : !under) ? "bottom" : "top";
  const up = y === null ? (atBottom ? bbox.top + bbox.height - gap : bbox.top + gap) : y + (under ? gap : -gap);
  context.strokeText(label, across, up);
  context.fillText(label, across, up);
}
