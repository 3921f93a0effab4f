/** Drawing a race: the loss that each probe was compared by, the pick with its range, and where probes diverged. */

import { canvasFont, palette } from "../../kit/palette";
import { theme } from "../../kit/theme";
import { boxInside, drawAxes, TICK_SIZE, type Box } from "../../pictures/axes";
import { scaleBetween, type Scale } from "../../pictures/scale";
import type { Probe } from "../contract";
import type { RacePicture } from "./picture";

type Context = CanvasRenderingContext2D;

export interface RaceFrame {
  box: Box;
  x: Scale;
  y: Scale;
}

/** Lay a race out on so many pixels. */
export function raceFrame({ rates, losses }: RacePicture, width: number, height: number): RaceFrame {
  const box = boxInside(width, height, 16);
  return {
    box,
    x: scaleBetween(rates.low, rates.high, box.left, box.right, true),
    y: scaleBetween(losses.low, losses.high, box.bottom, box.top, losses.logarithmic),
  };
}

/** Return where a probe stands; one above the window, or without a score, stands on its upper edge. */
export function placeOf(probe: Probe, { box, x, y }: RaceFrame): { x: number; y: number } {
  const up = probe.score === null ? box.top : Math.min(box.bottom, Math.max(box.top, y.place(probe.score)));
  return { x: x.place(probe.lr), y: Number.isFinite(up) ? up : box.bottom };
}

/** Return the colour of a round: the longer, the stronger. */
export function roundColour(index: number, rounds: number): string {
  const share = rounds > 1 ? index / (rounds - 1) : 0.8;
  return theme() === "dark" ? mixed([60, 96, 124], [151, 213, 255], share) : mixed([158, 202, 225], [8, 62, 122], share);
}

function mixed(from: readonly number[], to: readonly number[], share: number): string {
  return `rgb(${from.map((part, index) => Math.round(part + share * (to[index]! - part))).join(" ")})`;
}

/** Draw a race into its frame. */
export function drawRace(context: Context, picture: RacePicture, frame: RaceFrame): void {
  drawPick(context, picture, frame);
  drawLevels(context, picture, frame);
  drawAxes(context, frame.box, { scale: frame.x, name: nameOfRates(picture) }, { scale: frame.y, name: picture.told.loss });
  picture.rounds.forEach((_, index) => drawRound(context, picture, frame, index));
  drawExpectation(context, picture, frame);
}

function nameOfRates({ told }: RacePicture): string {
  return told.schedule === "constant" ? "learning rate" : "peak learning rate";
}

function drawPick(context: Context, { told }: RacePicture, { box, x }: RaceFrame): void {
  if (told.lr === null) return;
  const colour = palette().good;
  if (told.low !== null && told.high !== null) {
    context.globalAlpha = 0.16;
    context.fillStyle = colour;
    context.fillRect(x.place(told.low), box.top, x.place(told.high) - x.place(told.low), box.bottom - box.top);
    context.globalAlpha = 1;
  }
  line(context, colour, 2, [], x.place(told.lr), box.top, x.place(told.lr), box.bottom);
}

function drawLevels(context: Context, { told, losses, rates }: RacePicture, { box, x, y }: RaceFrame): void {
  const limit = told.max_stable_lr;
  if (limit !== null && limit >= rates.low && limit <= rates.high) {
    line(context, palette().limit, 1.75, [6, 4], x.place(limit), box.top, x.place(limit), box.bottom);
  }
  const start = told.start;
  if (start !== null && start > losses.low && start < losses.high) {
    line(context, palette().muted, 1, [2, 3], box.left, y.place(start), box.right, y.place(start));
    label(context, "before training", box.left + 4, y.place(start) - 4);
  }
}

function drawRound(context: Context, picture: RacePicture, frame: RaceFrame, index: number): void {
  const { probes } = picture.rounds[index]!;
  const colour = roundColour(index, picture.rounds.length);
  const inside = probes.filter((probe) => probe.score !== null && probe.score <= picture.losses.high);
  context.beginPath();
  inside.forEach((probe, place) => {
    const { x, y } = placeOf(probe, frame);
    context[place === 0 ? "moveTo" : "lineTo"](x, y);
  });
  context.strokeStyle = colour;
  context.lineWidth = 1.25;
  context.stroke();
  for (const probe of probes) drawProbe(context, picture, frame, probe, colour, 3.5 + (1.5 * index) / Math.max(1, picture.rounds.length - 1));
}

function drawProbe(context: Context, picture: RacePicture, frame: RaceFrame, probe: Probe, colour: string, size: number): void {
  const { x, y } = placeOf(probe, frame);
  context.save();
  context.translate(x, y);
  context.beginPath();
  if (probe.score === null) {
    drawCross(context);
  } else {
    if (probe.score > picture.losses.high) triangle(context, size + 1);
    else context.arc(0, 0, size, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
    context.strokeStyle = palette().raised;
    context.lineWidth = 1.25;
    context.stroke();
  }
  context.restore();
}

/** A probe that was lost. */
function drawCross(context: Context): void {
  const reach = 4.5;
  context.moveTo(-reach, -reach);
  context.lineTo(reach, reach);
  context.moveTo(reach, -reach);
  context.lineTo(-reach, reach);
  for (const [colour, width] of [[palette().raised, 5], [palette().diverged, 2.5]] as const) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }
}

function triangle(context: Context, size: number): void {
  context.moveTo(0, -size);
  context.lineTo(size, size);
  context.lineTo(-size, size);
  context.closePath();
}

function drawExpectation(context: Context, { told, losses }: RacePicture, { x, y }: RaceFrame): void {
  const expected = told.predicted_loss;
  if (told.lr === null || typeof expected?.value !== "number") return;
  const within = (loss: number): number => y.place(Math.min(losses.high, Math.max(losses.low, loss)));
  const across = x.place(told.lr);
  const colour = palette().evaluation;
  line(context, colour, 2.5, [], across, within(expected.low ?? losses.low), across, within(expected.high ?? losses.high));
  context.save();
  context.translate(across, within(expected.value));
  context.rotate(Math.PI / 4);
  context.fillStyle = colour;
  context.strokeStyle = palette().raised;
  context.lineWidth = 1.25;
  context.fillRect(-4.5, -4.5, 9, 9);
  context.strokeRect(-4.5, -4.5, 9, 9);
  context.restore();
}

function line(context: Context, colour: string, width: number, dash: number[], x1: number, y1: number, x2: number, y2: number): void {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}

function label(context: Context, text: string, x: number, y: number): void {
  context.font = canvasFont(TICK_SIZE);
  context.fillStyle = palette().muted;
  context.textAlign = "left";
  context.textBaseline = "bottom";
  context.fillText(text, x, y);
}
