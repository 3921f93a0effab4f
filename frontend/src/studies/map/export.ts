/** A map as a picture that stands alone, and as a table. */

import { general } from "../../kit/numbers";
import { outcomeName } from "../../kit/outcomes";
import { canvasFont, palette } from "../../kit/palette";
import { csvOf } from "../../kit/table";
import { drawMap } from "./draw";
import { frameOf } from "./frame";
import type { MapPicture } from "./picture";
import { readingOf } from "./picture";

const WIDTH = 900;
const HEIGHT = 600;
const SHARPNESS = 2;
const TITLE = 56;
const LEGEND = 30;

/** Draw a map with its title and legend on a canvas of its own, in the theme in use. */
export function mapImage(picture: MapPicture, title: string, subtitle: string): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH * SHARPNESS;
  canvas.height = HEIGHT * SHARPNESS;
  const context = canvas.getContext("2d")!;
  context.scale(SHARPNESS, SHARPNESS);
  const { ground, ink, muted } = palette();
  context.fillStyle = ground;
  context.fillRect(0, 0, WIDTH, HEIGHT);
  context.textBaseline = "alphabetic";
  context.fillStyle = ink;
  context.font = canvasFont(18, 600);
  context.fillText(title, 20, 34, WIDTH - 40);
  context.fillStyle = muted;
  context.font = canvasFont(13);
  context.fillText(subtitle, 20, 54, WIDTH - 40);
  context.translate(12, 0);
  drawMap(context, picture, frameOf(picture, WIDTH - 24, HEIGHT, TITLE, LEGEND), SHARPNESS);
  context.translate(-12, 0);
  context.fillStyle = muted;
  context.font = canvasFont(12);
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
  context.fillText(legendOf(picture), 20, HEIGHT - 12, WIDTH - 40);
  return canvas;
}

/** Say what the lines and the grey of a map mean. */
export function legendOf(picture: MapPicture): string {
  const { map, valley } = picture;
  const best = `White line: best rate${map.seeds > 1 ? `, range over ${map.seeds} seeds` : ""}; star: that of all steps.`;
  const worse = valley.start === null ? "Grey: not finite or diverging." : `Grey: worse than the start, ${general(valley.start, 3)}.`;
  const limit = map.max_stable_lr === null ? "" : ` Dashed: from ${general(map.max_stable_lr, 3)} up every run diverges.`;
  return `${best} ${worse}${limit}`;
}

/** Return every cell of a map as CSV, a row for each rate and number of steps. */
export function mapTable(picture: MapPicture): string {
  const { map } = picture;
  const rows = map.lrs.flatMap((lr, rate) =>
    map.checkpoints.map((steps, checkpoint) => {
      const { loss, outcome } = readingOf(map, { rate, checkpoint });
      return [lr, steps, loss, outcomeName(outcome)] as const;
    }),
  );
  return csvOf(["lr", "steps", picture.lossName.replace(" ", "_"), "outcome"], rows);
}
