/** Where the regions of a map have the most room for their names. */

export interface RegionPlace<Kind> {
  readonly kind: Kind;
  readonly column: number;
  readonly row: number;
}

/** Half the width and height of a name, in shares of the map; a region with less room goes without. */
const WIDTH = 0.1;
const HEIGHT = 0.04;

/**
 * Return for each kind of cell the one that lies deepest among its like.
 *
 * @param kinds - the kind of each cell, row by row.
 * @param across - where each column lies, from 0 to 1.
 * @param up - where each row lies, from 0 to 1.
 */
export function regionPlaces<Kind>(kinds: readonly Kind[], across: readonly number[], up: readonly number[]): RegionPlace<Kind>[] {
  const columns = across.length;
  const best = new Map<Kind, RegionPlace<Kind> & { room: number }>();
  const sideways = roomAlong(kinds, across, (line, place) => line * columns + place);
  const upwards = roomAlong(kinds, up, (line, place) => place * columns + line);
  kinds.forEach((kind, cell) => {
    const room = Math.min(sideways[cell]! / WIDTH, upwards[cell]! / HEIGHT);
    if (room >= 1 && room > (best.get(kind)?.room ?? 0)) {
      best.set(kind, { kind, column: cell % columns, row: Math.floor(cell / columns), room });
    }
  });
  return [...best.values()];
}

/** Return for each cell how far its like reach along an axis, on the side where they reach less far. */
function roomAlong<Kind>(
  kinds: readonly Kind[],
  places: readonly number[],
  cellAt: (line: number, place: number) => number,
): Float64Array {
  const room = new Float64Array(kinds.length);
  const lines = kinds.length / places.length;
  for (let line = 0; line < lines; line += 1) {
    let first = 0;
    while (first < places.length) {
      let last = first;
      while (last + 1 < places.length && kinds[cellAt(line, last + 1)] === kinds[cellAt(line, first)]) last += 1;
      for (let place = first; place <= last; place += 1) {
        room[cellAt(line, place)] = Math.min(places[place]! - places[first]!, places[last]! - places[place]!);
      }
      first = last + 1;
    }
  }
  return room;
}
