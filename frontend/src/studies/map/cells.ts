/** The cells of a map: which one a value lies in, which edges part two outcomes, and which cells belong together. */

/** Return the cell between whose edges a value lies; the nearest one where it lies in none. */
export function cellAt(edges: readonly number[], value: number): number {
  let low = 0;
  let high = edges.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (edges[middle]! <= value) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

/** An edge between two neighbouring cells, in values of the axes. */
export interface Segment {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
}

/** Return the edges between neighbouring cells of different kinds; rows go with y, columns with x. */
export function outlines<Kind>(kinds: readonly (readonly Kind[])[], x: readonly number[], y: readonly number[]): Segment[] {
  const found: Segment[] = [];
  kinds.forEach((row, rate) => {
    row.forEach((kind, column) => {
      const [left, right] = [x[column]!, x[column + 1]!];
      const [bottom, top] = [y[rate]!, y[rate + 1]!];
      const above = kinds[rate + 1];
      if (above !== undefined && parts(kind, above[column])) found.push({ x1: left, y1: top, x2: right, y2: top });
      if (column + 1 < row.length && parts(kind, row[column + 1])) found.push({ x1: right, y1: bottom, x2: right, y2: top });
    });
  });
  return found;
}

/** Return whether a border runs between two kinds; null is one that is not known yet. */
function parts<Kind>(one: Kind, other: Kind | undefined): boolean {
  return one !== other && one !== null && other !== null;
}

/** Cells of one kind that touch. */
export interface Patch<Kind> {
  kind: Kind;
  cells: { row: number; column: number }[];
}

/** Return the patches of neighbouring cells of one kind, the largest first. */
export function patches<Kind>(kinds: readonly (readonly Kind[])[]): Patch<Kind>[] {
  const seen = kinds.map((row) => row.map(() => false));
  const found: Patch<Kind>[] = [];
  kinds.forEach((cells, row) => {
    cells.forEach((kind, column) => {
      if (seen[row]?.[column] === false) found.push({ kind, cells: flood(kinds, seen, row, column) });
    });
  });
  return found.sort((one, other) => other.cells.length - one.cells.length);
}

function flood<Kind>(
  kinds: readonly (readonly Kind[])[],
  seen: boolean[][],
  row: number,
  column: number,
): { row: number; column: number }[] {
  const kind = kinds[row]?.[column];
  const cells: { row: number; column: number }[] = [];
  const waiting = [{ row, column }];
  while (waiting.length > 0) {
    const cell = waiting.pop()!;
    const fresh = seen[cell.row]?.[cell.column] === false && kinds[cell.row]?.[cell.column] === kind;
    if (!fresh) continue;
    seen[cell.row]![cell.column] = true;
    cells.push(cell);
    for (const [up, right] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
      waiting.push({ row: cell.row + up, column: cell.column + right });
    }
  }
  return cells;
}
