/**
 * The colours of maps and surfaces: viridis and cividis, both even to the eye and safe for the colour-blind.
 *
 * Source: Matplotlib's tables of the two, every eighth colour; between them the eye sees no difference.
 */

type Colour = readonly [red: number, green: number, blue: number];

const VIRIDIS =
  "440154 470d60 48186a 482374 472d7b 453781 424086 3e4989 3b528b 375b8d 33638d " +
  "2f6b8e 2c728e 297a8e 26828e 23898e 21918c 1f988b 1fa088 22a785 28ae80 32b67a " +
  "3fbc73 4ec36b 5ec962 70cf57 84d44b 98d83e addc30 c2df23 d8e219 ece51b fde725";
const CIVIDIS =
  "00224e 00285b 002e6a 053371 1a386f 273e6e 32436d 3b496c 434e6c 4b546c 535a6d " +
  "5a5f6e 61656f 686a71 6f7073 767676 7d7c78 848279 8c8878 938e78 9b9476 a39a74 " +
  "aba072 b4a76f bcae6c c4b468 cdbb63 d5c25e dec958 e7d150 f0d846 f9e03a fee838";

/** How many colours a scale is made of. */
export const SHADES = 256;

export type ColourScale = readonly Colour[];

/** From dark for low to bright for high. */
export const viridis = scaleOf(VIRIDIS);
export const cividis = scaleOf(CIVIDIS);

/** From bright for low to dark for high: a valley that glows. */
export const valley = [...viridis].reverse();

/** Return the colour of a share between 0 and 1. */
export function colourAt(scale: ColourScale, share: number): Colour {
  return scale[Math.round(Math.min(1, Math.max(0, share)) * (scale.length - 1))]!;
}

/** Return a colour as CSS writes it, made darker or brighter by a factor. */
export function css([red, green, blue]: Colour, light = 1): string {
  const shade = (part: number) => Math.min(255, Math.round(part * light));
  return `rgb(${shade(red)} ${shade(green)} ${shade(blue)})`;
}

/** Return a colour as a pixel of image data, with a share of it that covers. */
export function pixel([red, green, blue]: Colour): number {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** Read a colour such as #0072b2. */
export function parseColour(text: string): Colour {
  const number = Number.parseInt(text.replace("#", ""), 16);
  return [(number >> 16) & 255, (number >> 8) & 255, number & 255];
}

function scaleOf(table: string): ColourScale {
  const stops = table.split(" ").map(parseColour);
  return Array.from({ length: SHADES }, (_, shade) => between(stops, (shade / (SHADES - 1)) * (stops.length - 1)));
}

function between(stops: Colour[], place: number): Colour {
  const first = Math.min(Math.floor(place), stops.length - 2);
  const share = place - first;
  const [from, to] = [stops[first]!, stops[first + 1]!];
  const mix = (part: 0 | 1 | 2) => Math.round(from[part] + share * (to[part] - from[part]));
  return [mix(0), mix(1), mix(2)];
}
