/** Axes on a canvas: a frame of ticks and names around a box. */

import { general } from "../kit/numbers";
import { canvasFont, palette } from "../kit/palette";
import { type Scale, type Tick, ticksOf } from "./scale";

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export const TICK_SIZE = 11;
export const TICK = 4;
export const SMALL_TICK = 2;
/** From the edge of a box to the names of its ticks. */
export const GAP = 7;

/** So many places are each named, if there is room; and an axis of so many decades names 2 and 5 too. */
const FEW = 8;
const SHORT = 2.3;

/** The pixels that a name needs. */
const ROOM = { across: 44, up: 22 };
/** The pixels between names where there may be any number of them. */
const SPACE = { across: 70, up: 40 };

export interface Axis {
  readonly scale: Scale;
  readonly name: string;
  /** What the picture has along the axis; few of them are each named. */
  readonly centres?: readonly number[];
}

/** Draw ticks and names along the left and the lower edge of a box. */
export function drawAxes(context: CanvasRenderingContext2D, box: Box, x: Axis, y: Axis): void {
  context.save();
  inkTicks(context);
  context.textAlign = "center";
  context.textBaseline = "top";
  context.beginPath();
  for (const { at, label } of ticksAlong(x, ROOM.across, (box.right - box.left) / SPACE.across)) {
    const place = x.scale.place(at);
    context.moveTo(place, box.bottom);
    context.lineTo(place, box.bottom + (label ? TICK : SMALL_TICK));
    context.fillText(label, place, box.bottom + GAP);
  }
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const { at, label } of ticksAlong(y, ROOM.up, (box.bottom - box.top) / SPACE.up)) {
    const place = y.scale.place(at);
    context.moveTo(box.left, place);
    context.lineTo(box.left - (label ? TICK : SMALL_TICK), place);
    context.fillText(label, box.left - GAP, place);
  }
  context.stroke();
  drawNames(context, box, { x: x.name, y: y.name });
  context.restore();
}

/** Take the ink and the type of ticks. */
export function inkTicks(context: CanvasRenderingContext2D): void {
  const { muted, rule } = palette();
  context.font = canvasFont(TICK_SIZE);
  context.fillStyle = muted;
  context.strokeStyle = rule;
  context.lineWidth = 1;
}

/** Write the names of the axes: the upright one above its ticks, so that nobody has to tilt the head. */
function drawNames(context: CanvasRenderingContext2D, box: Box, names: { x: string; y: string }): void {
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

function ticksAlong({ scale, centres = [] }: Axis, room: number, about: number): Tick[] {
  if (centres.length > 0 && centres.length <= FEW && areApart(centres, scale, room)) {
    return centres.map((at) => ({ at, label: general(at, 3) }));
  }
  const ticks = ticksOf(scale.low, scale.high, about, scale.logarithmic);
  return isShort(scale, room) ? ticks.map((tick) => (isNamedToo(tick.at) ? { ...tick, label: general(tick.at) } : tick)) : ticks;
}

function areApart(values: readonly number[], { place }: Scale, room: number): boolean {
  return values.slice(1).every((value, index) => Math.abs(place(value) - place(values[index]!)) >= room);
}

/** Return whether an axis is of one to two decades, with room for a name between 2 and 5. */
function isShort({ low, high, logarithmic, place }: Scale, room: number): boolean {
  const isDecades = Math.floor(Math.log10(high) + 1e-9) - Math.ceil(Math.log10(low) - 1e-9) >= 1;
  return logarithmic && isDecades && Math.log10(high / low) <= SHORT && Math.abs(place(2 * low) - place(low)) >= room;
}

function isNamedToo(value: number): boolean {
  return [2, 5].includes(Math.round(value / 10 ** Math.floor(Math.log10(value) + 1e-9)));
}
