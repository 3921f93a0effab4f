/** Axes on a canvas: a frame of ticks and names around a box. */

import { canvasFont, palette } from "../kit/palette";
import { type Scale, ticksOf } from "./scale";

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export const TICK_SIZE = 11;
const TICK = 4;
const SMALL_TICK = 2;

/** Draw ticks and names along the left and the lower edge of a box. */
export function drawAxes(
  context: CanvasRenderingContext2D,
  box: Box,
  x: Scale,
  y: Scale,
  names: { x: string; y: string },
): void {
  const { muted, rule } = palette();
  context.save();
  context.font = canvasFont(TICK_SIZE);
  context.fillStyle = muted;
  context.strokeStyle = rule;
  context.lineWidth = 1;
  context.textBaseline = "top";
  context.textAlign = "center";
  for (const { at, label } of ticksOf(x.low, x.high, (box.right - box.left) / 70, x.logarithmic)) {
    const place = x.place(at);
    stroke(context, place, box.bottom, place, box.bottom + (label ? TICK : SMALL_TICK));
    context.fillText(label, place, box.bottom + TICK + 3);
  }
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const { at, label } of ticksOf(y.low, y.high, (box.bottom - box.top) / 40, y.logarithmic)) {
    const place = y.place(at);
    stroke(context, box.left - (label ? TICK : SMALL_TICK), place, box.left, place);
    context.fillText(label, box.left - TICK - 3, place);
  }
  drawNames(context, box, names);
  context.restore();
}

/** Write the names of the axes: the upright one above its ticks, so that nobody has to tilt the head. */
export function drawNames(context: CanvasRenderingContext2D, box: Box, names: { x: string; y: string }): void {
  context.font = canvasFont(TICK_SIZE);
  context.fillStyle = palette().muted;
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
  context.fillText(names.y, 2, box.top - 8);
  context.textAlign = "right";
  context.textBaseline = "bottom";
  context.fillText(names.x, box.right, box.bottom + 36);
}

/** The space that ticks and names take around a box, in CSS pixels. */
export const MARGIN = { left: 46, top: 24, right: 12, bottom: 38 } as const;

/** Return the box that is left inside the margin. */
export function boxInside(width: number, height: number, right: number = MARGIN.right): Box {
  return { left: MARGIN.left, top: MARGIN.top, right: width - right, bottom: height - MARGIN.bottom };
}

function stroke(context: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number): void {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}
