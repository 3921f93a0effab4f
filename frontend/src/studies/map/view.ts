/** The map on the page: it follows the pointer and the arrow keys, and a rate can be chosen on it. */

import { element } from "../../kit/element";
import { newest } from "../../kit/newest";
import { palette, seriesColour } from "../../kit/palette";
import { sheet } from "../../pictures/sheet";
import { sameRate } from "../state";
import { drawMap } from "./draw";
import { frameOf, type Frame } from "./frame";
import type { Cell, MapPicture } from "./picture";
import { firstCell } from "./picture";

const ARROWS: Record<string, readonly [right: number, up: number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
  Home: [-Infinity, 0],
  End: [Infinity, 0],
  PageUp: [0, 5],
  PageDown: [0, -5],
};

export interface MapView {
  readonly element: HTMLElement;
  /** Show a map, which may have grown; the cross-hair stays where it was. */
  show(picture: MapPicture): void;
  setChosen(lrs: readonly number[]): void;
  stop(): void;
}

/** Make a map that is looked at.
 *
 * @param onLook - is told which cell is looked at, by pointer or by keyboard; null when the pointer has left.
 * @param onChoose - is told which cell was clicked, or entered with the keyboard.
 */
export function mapView(onLook: (cell: Cell | null) => void, onChoose: (cell: Cell) => void): MapView {
  let picture: MapPicture | null = null;
  let frame: Frame | null = null;
  let chosen: readonly number[] = [];
  let looked: Cell | null = null;

  const box = element("div", {
    class: "picture study-map",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "map",
    "aria-label":
      "Map of the loss over steps and learning rate. Arrow keys move the cross-hair, Enter adds the curve of its rate; the table below holds the best rates.",
    on: { pointermove: follow, pointerleave: leave, click, keydown: key, focus: begin, blur: leave },
  });
  const sheets = sheet(box, 2, draw);
  const overlay = newest<null>(drawOverlay);

  function draw(): void {
    if (picture === null || sheets.width === 0) return;
    frame = frameOf(picture, sheets.width, sheets.height);
    const base = sheets.layers[0]!;
    base.clear();
    drawMap(base.context, picture, frame, sheets.ratio);
    drawOverlay();
  }

  function drawOverlay(): void {
    const layer = sheets.layers[1]!;
    layer.clear();
    if (picture === null || frame === null) return;
    drawChosen(layer.context, picture, frame, chosen);
    if (looked !== null) drawCross(layer.context, frame, looked);
  }

  function look(cell: Cell | null): void {
    if (cell?.rate === looked?.rate && cell?.checkpoint === looked?.checkpoint) return;
    looked = cell;
    overlay.set(null);
    onLook(cell);
  }

  function cellUnder(event: MouseEvent): Cell | null {
    const { left, top } = box.getBoundingClientRect();
    return frame?.cellAt(event.clientX - left, event.clientY - top) ?? null;
  }

  function follow(event: PointerEvent): void {
    look(cellUnder(event));
  }

  function leave(): void {
    if (document.activeElement !== box) look(null);
  }

  function begin(): void {
    if (picture !== null && looked === null && box.matches(":focus-visible")) look(firstCell(picture.map));
  }

  function click(event: MouseEvent): void {
    const cell = cellUnder(event);
    if (cell === null) return;
    look(cell);
    onChoose(cell);
  }

  function key(event: KeyboardEvent): void {
    if (picture === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    const from = looked ?? firstCell(picture.map);
    if (arrow !== undefined) look(moved(picture, from, arrow));
    else if (event.key === "Enter" || event.key === " ") onChoose(from);
    else if (event.key === "Escape") look(null);
    else return;
    event.preventDefault();
  }

  return {
    element: box,
    show(next) {
      if (picture !== null && looked !== null) looked = sameCell(picture, next, looked);
      picture = next;
      draw();
      onLook(looked);
    },
    setChosen(lrs) {
      chosen = lrs;
      overlay.set(null);
    },
    stop() {
      overlay.stop();
      sheets.stop();
    },
  };
}

function moved({ map }: MapPicture, cell: Cell, [right, up]: readonly [number, number]): Cell {
  const within = (place: number, count: number): number => Math.min(count - 1, Math.max(0, place));
  return { rate: within(cell.rate + up, map.lrs.length), checkpoint: within(cell.checkpoint + right, map.checkpoints.length) };
}

/** Return where a cell of a map is in one that has grown, or null if it is there no more. */
function sameCell(before: MapPicture, after: MapPicture, cell: Cell): Cell | null {
  const lr = before.map.lrs[cell.rate]!;
  const steps = before.map.checkpoints[cell.checkpoint]!;
  const rate = after.map.lrs.findIndex((other) => sameRate(other, lr));
  const checkpoint = after.map.checkpoints.indexOf(steps);
  return rate < 0 || checkpoint < 0 ? null : { rate, checkpoint };
}

function drawCross(context: CanvasRenderingContext2D, frame: Frame, cell: Cell): void {
  const { left, right, top, bottom } = frame.boxOf(cell);
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  const { plot } = frame;
  context.beginPath();
  for (const [x1, y1, x2, y2] of [[x, plot.top, x, top], [x, bottom, x, plot.bottom], [plot.left, y, left, y], [right, y, plot.right, y]] as const) {
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
  }
  context.rect(left, top, right - left, bottom - top);
  for (const [colour, width] of [["rgb(0 0 0 / 75%)", 3], ["#fff", 1.2]] as const) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }
}

/** Mark the chosen rates at the edge of the map, in the colours of their curves. */
function drawChosen(context: CanvasRenderingContext2D, { map }: MapPicture, frame: Frame, chosen: readonly number[]): void {
  chosen.forEach((lr, index) => {
    if (!map.lrs.some((known) => sameRate(known, lr))) return;
    const [x, y] = [frame.plot.left, frame.y.place(lr)];
    context.beginPath();
    context.moveTo(x + 11, y);
    context.lineTo(x, y - 6);
    context.lineTo(x, y + 6);
    context.closePath();
    context.fillStyle = seriesColour(index);
    context.fill();
    context.strokeStyle = palette().raised;
    context.lineWidth = 1.5;
    context.stroke();
  });
}
