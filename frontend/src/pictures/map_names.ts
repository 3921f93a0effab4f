/** The words on a map, each on a ground of its own, so that nothing beneath makes them hard to read. */

import { canvasFont } from "../kit/palette";
import type { Frame, MapLine, MapName } from "./map_layers";

const INK = "#14171a";
const GROUND = "rgb(255 255 255 / 86%)";
const HEIGHT = 19;
const PADDING = 6;
const CORNER = 5;

/** From a level line to the middle of its label, and from the map's edge to a word, in CSS pixels. */
const LABEL_GAP = 13;
const EDGE_GAP = 2;

interface Plate {
  readonly text: string;
  /** Its middle. */
  readonly across: number;
  readonly up: number;
  readonly width: number;
}

/** Write names on the cells, and the labels of level lines where they leave the names free. */
export function drawNames(
  context: CanvasRenderingContext2D,
  frame: Frame,
  names: readonly MapName[],
  lines: readonly MapLine[],
): void {
  context.save();
  context.font = canvasFont(11.5, 600);
  context.textAlign = "center";
  context.textBaseline = "middle";
  const plates: Plate[] = [];
  for (const { x, y, text } of names) {
    if (isOn(frame, x, y)) plates.push(plateAt(context, frame, text, frame.x.place(x), frame.y.place(y)));
  }
  for (const { ys, label } of lines) {
    if (!label || typeof ys !== "number" || !isOn(frame, frame.x.low, ys)) continue;
    const places = placesAlong(frame, ys).map(([across, up]) => plateAt(context, frame, label, across, up));
    plates.push(places.find((place) => plates.every((plate) => areApart(place, plate))) ?? places[0]!);
  }
  for (const plate of plates) drawPlate(context, plate);
  context.restore();
}

/** Return where the label of a level line may stand, the best place first. */
function placesAlong({ box, y }: Frame, level: number): (readonly [across: number, up: number])[] {
  const up = y.place(level);
  return [box.right, box.left].flatMap((across) => [[across, up - LABEL_GAP], [across, up + LABEL_GAP]] as const);
}

function isOn({ x, y }: Frame, at: number, level: number): boolean {
  return at >= x.low && at <= x.high && level >= y.low && level <= y.high;
}

/** Return the plate of a word as near to a place as the map's edges allow. */
function plateAt(context: CanvasRenderingContext2D, { box }: Frame, text: string, across: number, up: number): Plate {
  const width = context.measureText(text).width + 2 * PADDING;
  const inside = (value: number, low: number, high: number, half: number) => Math.min(high - half, Math.max(low + half, value));
  return {
    text,
    across: inside(across, box.left, box.right, width / 2 + EDGE_GAP),
    up: inside(up, box.top, box.bottom, HEIGHT / 2 + EDGE_GAP),
    width,
  };
}

function areApart(one: Plate, other: Plate): boolean {
  return Math.abs(one.across - other.across) >= (one.width + other.width) / 2 || Math.abs(one.up - other.up) >= HEIGHT;
}

function drawPlate(context: CanvasRenderingContext2D, { text, across, up, width }: Plate): void {
  context.beginPath();
  context.roundRect(across - width / 2, up - HEIGHT / 2, width, HEIGHT, CORNER);
  context.fillStyle = GROUND;
  context.fill();
  context.fillStyle = INK;
  context.fillText(text, across, up + 0.5);
}
