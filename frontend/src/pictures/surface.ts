/** A surface with a path on it. It is drawn when it is turned; while only the path moves, it stays as it is. */

import { element } from "../kit/element";
import { newest } from "../kit/newest";
import { palette } from "../kit/palette";
import { type Camera, camera, type View } from "./camera";
import { drawGround, type Ground, placesOf } from "./ground";
import { sheet } from "./sheet";
import { drawTrail, type Path, type Pin } from "./trail";

export type { Ground } from "./ground";
export type { Path, Pin } from "./trail";

export interface SurfaceOptions {
  readonly x: string;
  readonly y: string;
  readonly description: string;
  readonly view?: View;
}

export interface Surface {
  readonly element: HTMLElement;
  setGround(ground: Ground): void;
  setPath(path: Path, pins: readonly Pin[]): void;
  setDescription(description: string): void;
  picture(): HTMLCanvasElement;
  stop(): void;
}

const FROM: View = { turn: -0.9, tilt: 0.6 };
const LOWEST = 0.15;
const HIGHEST = Math.PI / 2;
const PER_PIXEL = 0.01;
const PER_KEY = Math.PI / 24;

const KEYS: Record<string, readonly [turn: number, tilt: number]> = {
  ArrowLeft: [-PER_KEY, 0],
  ArrowRight: [PER_KEY, 0],
  ArrowUp: [0, PER_KEY],
  ArrowDown: [0, -PER_KEY],
};

/** Make a surface; put its `element` into a box whose height the style sheet sets. */
export function surface(options: SurfaceOptions): Surface {
  const box = element("div", { class: "picture surface", tabindex: 0, role: "img", "aria-label": options.description });
  const first = options.view ?? FROM;
  let view = first;
  let ground: Ground | null = null;
  let seen: Camera | null = null;
  let trail: { path: Path; pins: readonly Pin[] } | null = null;

  const drawPath = () => {
    const layer = sheets.layers[1]!;
    layer.clear();
    if (ground && trail && seen) drawTrail(layer.context, seen, ground, trail.path, trail.pins);
  };
  const draw = () => {
    if (!ground || !sheets.width) return;
    const layer = sheets.layers[0]!;
    layer.clear();
    seen = camera(view, placesOf(ground), sheets.width, sheets.height);
    drawGround(layer.context, seen, ground, options);
    drawPath();
  };
  const sheets = sheet(box, 2, draw);
  const turning = newest<View>((next) => {
    view = next;
    draw();
  });
  let wanted = view;
  const turn = (by: number, up: number) => {
    wanted = { turn: wanted.turn + by, tilt: Math.min(HIGHEST, Math.max(LOWEST, wanted.tilt + up)) };
    turning.set(wanted);
  };
  listen(box, turn, () => {
    wanted = first;
    turning.set(wanted);
  });

  return {
    element: box,
    setGround(next) {
      ground = next;
      draw();
    },
    setPath(path, pins) {
      trail = { path, pins };
      drawPath();
    },
    setDescription(description) {
      box.setAttribute("aria-label", description);
    },
    picture: () => sheets.flattened(palette().raised),
    stop() {
      turning.stop();
      sheets.stop();
    },
  };
}

function listen(box: HTMLElement, turn: (by: number, up: number) => void, home: () => void): void {
  let from: { x: number; y: number } | null = null;
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    from = { x: event.clientX, y: event.clientY };
    box.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointermove", (event) => {
    if (!from) return;
    turn((event.clientX - from.x) * PER_PIXEL, (event.clientY - from.y) * PER_PIXEL);
    from = { x: event.clientX, y: event.clientY };
  });
  for (const end of ["pointerup", "pointercancel"] as const) {
    box.addEventListener(end, () => {
      from = null;
    });
  }
  box.addEventListener("dblclick", home);
  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = KEYS[event.key];
    if (!move && event.key !== "Home") return;
    event.preventDefault();
    if (move) turn(...move);
    else home();
  });
}
