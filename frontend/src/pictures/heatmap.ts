/** A map of values over two axes: the cells are drawn once, and the cross-hair moves on a layer above them. */

import { element } from "../kit/element";
import { palette } from "../kit/palette";
import { drawAxes } from "./axes";
import type { Grid } from "./cells";
import type { Segment } from "./contours";
import {
  drawCells,
  drawDot,
  drawHairs,
  drawLine,
  drawOutline,
  type Frame,
  frameOf,
  type MapLine,
  type MapName,
} from "./map_layers";
import { drawNames } from "./map_names";
import { sheet } from "./sheet";

export type { MapLine, MapName } from "./map_layers";

export interface Cell {
  readonly column: number;
  readonly row: number;
}

export interface HeatmapContent {
  readonly grid: Grid;
  readonly lines?: readonly MapLine[];
  /** Words written on the cells. */
  readonly names?: readonly MapName[];
  /** Lines between cells, in columns and rows from the middle of the first cell. */
  readonly outlines?: readonly (readonly Segment[])[];
}

export interface HeatmapOptions {
  readonly x: string;
  readonly y: string;
  /** What a screen reader says of the picture. */
  readonly description: string;
  /** The pointer is on a cell, or has left the map (null). */
  onHover?(cell: Cell | null): void;
  /** A place was clicked or dragged to, in values of the axes, with its cell. */
  onPick?(x: number, y: number, cell: Cell): void;
  /** An arrow key was pressed: steps to the right and up. Without it the keys move a cross-hair from cell to cell. */
  onStep?(right: number, up: number): void;
}

export interface Heatmap {
  readonly element: HTMLElement;
  setContent(content: HeatmapContent): void;
  /** Move the cross-hair; null takes it away. */
  setCross(x: number | null, y?: number): void;
  setDescription(description: string): void;
  /** Return the map as a picture, without the cross-hair. */
  picture(): HTMLCanvasElement;
  stop(): void;
}

/** Make a map; put its `element` into a box whose height the style sheet sets. */
export function heatmap(options: HeatmapOptions): Heatmap {
  const box = element("div", { class: "picture heatmap", tabindex: 0, role: "img", "aria-label": options.description });
  let content: HeatmapContent | null = null;
  let cross: { x: number; y: number } | null = null;
  let hovered: Cell | null = null;
  let cached: { frame: Frame; grid: Grid } | null = null;

  const drawCross = () => {
    if (!content || !sheets.width) return;
    const layer = sheets.layers[1]!;
    layer.clear();
    const frame = frameOf(sheets, content.grid);
    // The names stand above the hairs, which would strike them through, and the dot above the names.
    if (cross) drawHairs(layer.context, frame, cross.x, cross.y);
    drawNames(layer.context, frame, content.names ?? [], content.lines ?? []);
    if (cross) drawDot(layer.context, frame, cross.x, cross.y);
  };
  const draw = () => {
    if (!content || !sheets.width) return;
    const frame = frameOf(sheets, content.grid);
    const base = sheets.layers[0]!;
    base.clear();
    drawCells(base.context, frame, content.grid, sheets.ratio);
    drawAxes(base.context, frame.box, { scale: frame.x, name: options.x }, { scale: frame.y, name: options.y });
    for (const outline of content.outlines ?? []) drawOutline(base.context, frame, content.grid, outline);
    for (const line of content.lines ?? []) drawLine(base.context, frame, line);
    cached = { frame, grid: content.grid };
    drawCross();
  };
  const sheets = sheet(box, 2, draw);

  const hover = (cell: Cell | null) => {
    if (cell?.column === hovered?.column && cell?.row === hovered?.row) return;
    hovered = cell;
    options.onHover?.(cell);
  };
  const pick = (event: PointerEvent) => {
    const found = cached && placeOf(box, event, cached.frame, cached.grid, true);
    if (found) options.onPick?.(found.x, found.y, found.cell);
  };
  let dragging = false;
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !options.onPick || !cached || !placeOf(box, event, cached.frame, cached.grid)) return;
    dragging = true;
    box.setPointerCapture(event.pointerId);
    pick(event);
  });
  box.addEventListener("pointermove", (event) => {
    if (dragging) pick(event);
    hover((cached && placeOf(box, event, cached.frame, cached.grid)?.cell) || null);
  });
  for (const end of ["pointerup", "pointercancel"] as const) {
    box.addEventListener(end, () => {
      dragging = false;
    });
  }
  box.addEventListener("pointerleave", () => hover(null));
  box.addEventListener("keydown", (event) => {
    const move = ARROWS[event.key];
    if (!move || !content || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const [right, up] = move;
    if (options.onStep) return options.onStep(right, up);
    const cell = neighbour(content.grid, hovered, right, up);
    hover(cell);
  });

  return {
    element: box,
    setContent(next) {
      content = next;
      draw();
    },
    setCross(x, y = Number.NaN) {
      cross = x === null ? null : { x, y };
      drawCross();
    },
    setDescription(description) {
      box.setAttribute("aria-label", description);
    },
    picture() {
      const kept = cross;
      cross = null;
      drawCross();
      const whole = sheets.flattened(palette().raised);
      cross = kept;
      drawCross();
      return whole;
    },
    stop: () => sheets.stop(),
  };
}

const ARROWS: Record<string, readonly [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};

function placeOf(host: HTMLElement, event: PointerEvent, { box, x, y }: Frame, grid: Grid, clamped = false) {
  const bounds = host.getBoundingClientRect();
  let [across, down] = [event.clientX - bounds.left, event.clientY - bounds.top];
  const inside = across >= box.left && across <= box.right && down >= box.top && down <= box.bottom;
  if (!inside && !clamped) return null;
  across = Math.min(box.right, Math.max(box.left, across));
  down = Math.min(box.bottom, Math.max(box.top, down));
  const [at, level] = [x.value(across), y.value(down)];
  return { x: at, y: level, cell: { column: nearest(grid.xs, at), row: nearest(grid.ys, level) } };
}

function nearest(values: readonly number[], value: number): number {
  let best = 0;
  values.forEach((candidate, index) => {
    if (Math.abs(Math.log(candidate / value)) < Math.abs(Math.log(values[best]! / value))) best = index;
  });
  return best;
}

function neighbour(grid: Grid, from: Cell | null, right: number, up: number): Cell {
  if (!from) return { column: grid.xs.length - 1, row: Math.floor(grid.ys.length / 2) };
  const within = (index: number, count: number) => Math.min(count - 1, Math.max(0, index));
  return { column: within(from.column + right, grid.xs.length), row: within(from.row + up, grid.ys.length) };
}
