/** The scale of a map's colours. */

/** The factor between the ends from which on a scale of losses that are above zero is logarithmic. */
export const LOGARITHMIC_FROM = 3;

const FLAT = 1e-6;
const OTHER_BATCHES = 0.1;

/** The losses between which the colours run. */
export interface LossScale {
  lowest: number;
  highest: number;
  logarithmic: boolean;
}

/** Return the scale between two losses, logarithmic where that shows more. */
export function lossScale(lowest: number, highest: number): LossScale {
  if (!(highest - lowest > FLAT * Math.abs(highest))) {
    return { lowest: highest - (Math.abs(highest) || 1), highest, logarithmic: false };
  }
  return { lowest, highest, logarithmic: lowest > 0 && highest / lowest >= LOGARITHMIC_FROM };
}

/** The valley of a map: its scale, and the loss above which a cell is worse than no training. */
export interface Valley {
  scale: LossScale;
  /** The loss before the first step, where the server tells it. */
  start: number | null;
  worseThan: number;
}

/** Return the colours' scale of a map: from its lowest loss to the start, above which a cell is worse than nothing.
 *
 * Of training losses those are above the start that lie there by more than other batches explain.
 *
 * @param losses - the map's losses; null where they are not finite.
 * @param start - the loss before the first step; without it the highest loss of a run that did not diverge.
 * @param diverged - whether the run of a cell diverged.
 * @param watched - "evaluation" or "training": the loss that the map shows.
 */
export function valleyOf(
  losses: readonly (readonly (number | null)[])[],
  start: number | null,
  diverged: (row: number, column: number) => boolean,
  watched: string,
): Valley {
  let lowest = Infinity;
  let highest = -Infinity;
  losses.forEach((cells, row) => {
    cells.forEach((loss, column) => {
      if (loss === null) return;
      lowest = Math.min(lowest, loss);
      if (!diverged(row, column)) highest = Math.max(highest, loss);
    });
  });
  const top = start ?? (Number.isFinite(highest) ? highest : Number.isFinite(lowest) ? lowest : 1);
  const bottom = Math.min(lowest, top);
  const reach = watched === "training" ? OTHER_BATCHES * (top - bottom) : 0;
  return { scale: lossScale(bottom, top), start, worseThan: top + reach };
}
