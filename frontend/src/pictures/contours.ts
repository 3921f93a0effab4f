/** Lines of equal height over a grid. */

export type Segment = readonly [x0: number, y0: number, x1: number, y1: number];

/**
 * Return where a height is crossed inside one cell of a grid, as a segment in shares of the cell.
 *
 * The corners come round the cell: (0, 0), (1, 0), (1, 1), (0, 1).
 */
export function crossing(corners: readonly [number, number, number, number], level: number): Segment | null {
  const points: number[] = [];
  for (let side = 0; side < 4 && points.length < 4; side += 1) {
    const [from, to] = [corners[side]!, corners[(side + 1) % 4]!];
    if (from < level === to < level) continue;
    const share = (level - from) / (to - from);
    if (!Number.isFinite(share)) continue;
    const [x, y] = along(side, share);
    points.push(x, y);
  }
  return points.length === 4 ? (points as unknown as Segment) : null;
}

/** Return the segments of a line of equal height, in columns and rows of the grid. */
export function contour(values: ArrayLike<number>, columns: number, level: number): Segment[] {
  const segments: Segment[] = [];
  const rows = values.length / columns;
  for (let row = 0; row + 1 < rows; row += 1) {
    for (let column = 0; column + 1 < columns; column += 1) {
      const first = row * columns + column;
      const above = first + columns;
      const corners = [values[first]!, values[first + 1]!, values[above + 1]!, values[above]!] as const;
      const found = crossing(corners, level);
      if (found) segments.push([column + found[0], row + found[1], column + found[2], row + found[3]]);
    }
  }
  return segments;
}

function along(side: number, share: number): readonly [number, number] {
  if (side === 0) return [share, 0];
  if (side === 1) return [1, share];
  if (side === 2) return [1 - share, 1];
  return [0, 1 - share];
}
