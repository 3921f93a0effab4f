/** The frame of a map on the page: where its axes lie, and the way from rates and steps to pixels and back. */

import { general } from "../../kit/numbers";
import { canvasFont } from "../../kit/palette";
import { MARGIN, TICK_SIZE, type Box } from "../../pictures/axes";
import { scaleBetween, ticksOf, type Scale } from "../../pictures/scale";
import { cellAt } from "./cells";
import type { Cell, MapPicture } from "./picture";

export interface Frame {
  /** The ground of the cells. */
  plot: Box;
  /** The colour bar beside it. */
  bar: Box;
  x: Scale;
  y: Scale;
  /** The cell at a place, or null beside the cells. */
  cellAt(x: number, y: number): Cell | null;
  boxOf(cell: Cell): Box;
}

const NARROW = 520;
/** The pixels between a label and the edges on both sides of it. */
const BESIDE = 10;
const MOST_TICKS = 12;

/** Lay a map out on so many pixels.
 *
 * @param above - the room above it, for a title.
 * @param below - the room below it, for a legend.
 */
export function frameOf(picture: MapPicture, width: number, height: number, above = 0, below = 0): Frame {
  const narrow = width < NARROW;
  const plot: Box = {
    left: Math.max(MARGIN.left + 2, widestRate(picture) + BESIDE),
    top: MARGIN.top + above,
    right: width - (narrow ? 66 : 84),
    bottom: height - MARGIN.bottom - below,
  };
  const bar: Box = { ...plot, left: plot.right + (narrow ? 10 : 18), right: plot.right + (narrow ? 20 : 30) };
  const x = scaleOf(picture.x, plot.left, plot.right);
  const y = scaleOf(picture.y, plot.bottom, plot.top);
  return {
    plot,
    bar,
    x,
    y,
    cellAt(px, py) {
      if (px < plot.left || px > plot.right || py < plot.top || py > plot.bottom) return null;
      return { rate: cellAt(picture.y, y.value(py)), checkpoint: cellAt(picture.x, x.value(px)) };
    },
    boxOf({ rate, checkpoint }) {
      return {
        left: x.place(picture.x[checkpoint]!),
        right: x.place(picture.x[checkpoint + 1]!),
        bottom: y.place(picture.y[rate]!),
        top: y.place(picture.y[rate + 1]!),
      };
    },
  };
}

/** Return the width of the widest label that a rate may have. */
function widestRate({ map, y }: MapPicture): number {
  measured ??= document.createElement("canvas").getContext("2d")!;
  measured.font = canvasFont(TICK_SIZE);
  const few = map.lrs.length <= MOST_TICKS ? map.lrs.map((lr) => general(lr, 3)) : [];
  const labels = [...few, ...ticksOf(y[0]!, y.at(-1)!, MOST_TICKS, true).map((tick) => tick.label)];
  return Math.max(...labels.map((label) => measured!.measureText(label).width));
}

let measured: CanvasRenderingContext2D | null = null;

function scaleOf(edges: readonly number[], from: number, to: number): Scale {
  return scaleBetween(edges[0]!, edges.at(-1)!, from, to, true);
}
