/** A camera that turns around a surface and sees it without perspective, as large as its sheet allows. */

export interface View {
  /** The turn around the upright axis and the height of the eye above the floor, in radians. */
  readonly turn: number;
  readonly tilt: number;
}

/** A place in the box around a surface: x and y from -1 to 1, z from 0 to 1. */
export type Place = readonly [x: number, y: number, z: number];

export interface Camera extends View {
  /** Project a place to the sheet. */
  project(x: number, y: number, z: number): readonly [across: number, down: number];
  /** How far a place of the floor lies from the eye: larger is farther. */
  depth(x: number, y: number): number;
}

/** How high the box is for its width of two. */
const HEIGHT = 1.3;

/** The space around what is seen, for the names of its axes. */
const SIDES = 34;
const TOP = 10;
const BOTTOM = 14;

/** Return a camera that shows places as large as a sheet allows, in its middle. */
export function camera({ turn, tilt }: View, places: Iterable<Place>, width: number, height: number): Camera {
  const [cosine, sine] = [Math.cos(turn), Math.sin(turn)];
  const [rise, fall] = [HEIGHT * Math.cos(tilt), Math.sin(tilt)];
  const depth = (x: number, y: number) => x * sine + y * cosine;
  const across = (x: number, y: number) => x * cosine - y * sine;
  const up = (x: number, y: number, z: number) => depth(x, y) * fall + z * rise;
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const [x, y, z] of places) {
    [left, right] = [Math.min(left, across(x, y)), Math.max(right, across(x, y))];
    [low, high] = [Math.min(low, up(x, y, z)), Math.max(high, up(x, y, z))];
  }
  const scale = Math.min((width - 2 * SIDES) / (right - left), (height - TOP - BOTTOM) / (high - low));
  const middle = width / 2 - ((left + right) / 2) * scale;
  const base = (height + TOP - BOTTOM) / 2 + ((low + high) / 2) * scale;
  return {
    turn,
    tilt,
    depth,
    project: (x, y, z) => [middle + across(x, y) * scale, base - up(x, y, z) * scale],
  };
}
