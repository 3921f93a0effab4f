/** The race on the page: what is near the pointer, or gone to with the arrow keys, is read. */

import { element } from "../../kit/element";
import { palette } from "../../kit/palette";
import { sheet } from "../../pictures/sheet";
import type { Probe } from "../contract";
import { drawRace, placeOf, raceFrame } from "./draw";
import type { RacePicture } from "./picture";

const REACH = 28;

export interface RaceView {
  readonly element: HTMLElement;
  /** Return the race as it is drawn, without the mark of what is looked at. */
  picture(): HTMLCanvasElement;
  stop(): void;
}

/** Show a race.
 *
 * @param onLook - is told which probe is looked at, or null.
 */
export function raceView(picture: RacePicture, onLook: (probe: Probe | null) => void): RaceView {
  let looked: Probe | null = null;
  const box = element("div", {
    class: "picture race",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "chart",
    "aria-label": "The race: the loss of each probe over its learning rate. Arrow keys go from probe to probe; the table below holds them all.",
    on: { pointermove: follow, pointerleave: () => look(null), keydown: key, blur: () => look(null) },
  });
  const sheets = sheet(box, 2, draw);

  function draw(): void {
    const base = sheets.layers[0]!;
    base.clear();
    drawRace(base.context, picture, raceFrame(picture, sheets.width, sheets.height));
    mark();
  }

  function mark(): void {
    const { clear, context } = sheets.layers[1]!;
    clear();
    if (looked === null) return;
    const { x, y } = placeOf(looked, raceFrame(picture, sheets.width, sheets.height));
    context.beginPath();
    context.arc(x, y, 9, 0, 2 * Math.PI);
    context.strokeStyle = palette().ink;
    context.lineWidth = 1.5;
    context.stroke();
  }

  function look(probe: Probe | null): void {
    if (probe === looked) return;
    looked = probe;
    mark();
    onLook(probe);
  }

  function follow(event: PointerEvent): void {
    const { left, top } = box.getBoundingClientRect();
    const frame = raceFrame(picture, sheets.width, sheets.height);
    const far = (probe: Probe): number => {
      const place = placeOf(probe, frame);
      return Math.hypot(place.x - (event.clientX - left), place.y - (event.clientY - top));
    };
    const nearest = picture.probes.reduce<Probe | null>((best, probe) => (best === null || far(probe) < far(best) ? probe : best), null);
    look(nearest !== null && far(nearest) <= REACH ? nearest : null);
  }

  function key(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (step === undefined || picture.probes.length === 0) return;
    event.preventDefault();
    const from = looked === null ? (step > 0 ? -1 : 0) : picture.probes.indexOf(looked);
    look(picture.probes[(from + step + picture.probes.length) % picture.probes.length]!);
  }

  return {
    element: box,
    picture() {
      sheets.layers[1]!.clear();
      const whole = sheets.flattened(palette().raised);
      mark();
      return whole;
    },
    stop: () => sheets.stop(),
  };
}
