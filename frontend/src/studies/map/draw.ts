/** Drawing a map: its valley, the borders between outcomes, the best rate for each budget, and the limit. */

import { general } from "../../kit/numbers";
import { canvasFont, palette } from "../../kit/palette";
import { drawAxes, GAP, inkTicks, SMALL_TICK, TICK, TICK_SIZE, type Box } from "../../pictures/axes";
import { imageOf } from "../../pictures/cells";
import { colourAt, css, valley as VALLEY } from "../../pictures/colours";
import { scaleBetween, ticksOf } from "../../pictures/scale";
import type { Best } from "../contract";
import type { Frame } from "./frame";
import { regionNames } from "./names";
import type { MapPicture } from "./picture";

type Context = CanvasRenderingContext2D;

/** Colours of the bar between which it runs evenly. */
const STOPS = 32;
const BLACK = "#000";
const WHITE = "#fff";

/** Draw a map into its frame.
 *
 * @param ratio - the device pixels in a CSS pixel.
 */
export function drawMap(context: Context, picture: MapPicture, frame: Frame, ratio: number): void {
  drawCells(context, picture, frame, ratio);
  clipped(context, frame.plot, () => {
    drawBorders(context, picture, frame);
    drawLimit(context, picture.map.max_stable_lr, frame);
  });
  // A best rate on the edge of a fine map is seen whole.
  drawBest(context, picture.map.best, frame);
  drawNames(context, picture, frame);
  const { lrs, checkpoints } = picture.map;
  drawAxes(context, frame.plot, { scale: frame.x, name: "steps", centres: checkpoints }, { scale: frame.y, name: "learning rate", centres: lrs });
  drawBar(context, picture, frame);
}

function drawCells(context: Context, picture: MapPicture, { x, y, plot }: Frame, ratio: number): void {
  const image = imageOf(picture.grid, x, y, plot, ratio);
  context.drawImage(image, plot.left, plot.top, plot.right - plot.left, plot.bottom - plot.top);
}

function clipped(context: Context, box: Box, draw: () => void): void {
  context.save();
  context.beginPath();
  context.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  context.clip();
  draw();
  context.restore();
}

/** In two tones, to be seen on every colour of the valley. */
function drawBorders(context: Context, picture: MapPicture, frame: Frame): void {
  context.beginPath();
  for (const { x1, y1, x2, y2 } of picture.borders) {
    context.moveTo(frame.x.place(x1), frame.y.place(y1));
    context.lineTo(frame.x.place(x2), frame.y.place(y2));
  }
  context.lineCap = "square";
  twoTone(context, 2, 0.9);
}

function twoTone(context: Context, outer: number, inner: number): void {
  context.strokeStyle = BLACK;
  context.lineWidth = outer;
  context.stroke();
  context.strokeStyle = WHITE;
  context.lineWidth = inner;
  context.stroke();
}

function drawLimit(context: Context, limit: number | null, frame: Frame): void {
  if (limit === null) return;
  const y = frame.y.place(limit);
  context.save();
  context.strokeStyle = palette().limit;
  context.lineWidth = 2;
  context.setLineDash([7, 5]);
  context.beginPath();
  context.moveTo(frame.plot.left, y);
  context.lineTo(frame.plot.right, y);
  context.stroke();
  context.restore();
}

function drawBest(context: Context, best: readonly (Best | null)[], frame: Frame): void {
  context.lineCap = "round";
  context.lineJoin = "round";
  context.beginPath();
  for (const one of best) {
    if (one === null || one.low === null || one.high === null || one.low === one.high) continue;
    context.moveTo(frame.x.place(one.steps), frame.y.place(one.low));
    context.lineTo(frame.x.place(one.steps), frame.y.place(one.high));
  }
  twoTone(context, 3.4, 1.8);
  context.beginPath();
  let isFirst = true;
  for (const one of best) {
    // Where no rate is finite the line has a gap.
    if (one !== null) context[isFirst ? "moveTo" : "lineTo"](frame.x.place(one.steps), frame.y.place(one.lr));
    isFirst = one === null;
  }
  twoTone(context, 4, 2);
  for (const one of best.slice(0, -1)) if (one !== null) drawDot(context, frame.x.place(one.steps), frame.y.place(one.lr));
  const last = best.at(-1);
  if (last) drawStar(context, frame.x.place(last.steps), frame.y.place(last.lr));
}

/** The mark of the rate that the whole map recommends. */
function drawStar(context: Context, x: number, y: number): void {
  context.beginPath();
  for (let corner = 0; corner < 10; corner += 1) {
    const reach = corner % 2 === 0 ? 8 : 3.4;
    const angle = (corner * Math.PI) / 5;
    context.lineTo(x + reach * Math.sin(angle), y - reach * Math.cos(angle));
  }
  context.closePath();
  context.lineJoin = "round";
  context.strokeStyle = BLACK;
  context.lineWidth = 2.5;
  context.stroke();
  context.fillStyle = WHITE;
  context.fill();
}

function drawDot(context: Context, x: number, y: number): void {
  context.beginPath();
  context.arc(x, y, 3.2, 0, 2 * Math.PI);
  context.fillStyle = WHITE;
  context.fill();
  context.strokeStyle = BLACK;
  context.lineWidth = 1;
  context.stroke();
}

function drawNames(context: Context, picture: MapPicture, frame: Frame): void {
  context.font = canvasFont(TICK_SIZE + 0.5, 600);
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  const widthOf = (text: string): number => context.measureText(text).width;
  for (const name of regionNames(picture.regions, frame, picture.map.best, widthOf, TICK_SIZE)) {
    context.save();
    context.translate(name.x, name.y);
    if (name.upright) context.rotate(-Math.PI / 2);
    context.strokeStyle = "rgb(255 255 255 / 85%)";
    context.lineWidth = 3.2;
    context.strokeText(name.text, 0, 0);
    context.fillStyle = "#111";
    context.fillText(name.text, 0, 0);
    context.restore();
  }
}

function drawBar(context: Context, picture: MapPicture, frame: Frame): void {
  const { bar } = frame;
  const { scale } = picture.valley;
  const place = scaleBetween(scale.lowest, scale.highest, bar.bottom, bar.top, scale.logarithmic);
  const colours = context.createLinearGradient(0, bar.bottom, 0, bar.top);
  for (let stop = 0; stop <= STOPS; stop += 1) colours.addColorStop(stop / STOPS, css(colourAt(VALLEY, stop / STOPS)));
  context.fillStyle = colours;
  context.fillRect(bar.left, bar.top, bar.right - bar.left, bar.bottom - bar.top);
  inkTicks(context);
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (const { at, label } of ticksOf(scale.lowest, scale.highest, (bar.bottom - bar.top) / 45, scale.logarithmic)) {
    context.beginPath();
    context.moveTo(bar.right, place.place(at));
    context.lineTo(bar.right + (label ? TICK : SMALL_TICK), place.place(at));
    context.stroke();
    context.fillText(label && general(at, 3), bar.right + GAP, place.place(at));
  }
  context.textBaseline = "alphabetic";
  context.textAlign = "right";
  context.fillText(picture.lossName, bar.right + 46, bar.top - 8);
}
