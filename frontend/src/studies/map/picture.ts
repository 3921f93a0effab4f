/** What a map shows, made once when its numbers come: where its cells are, and which of them are of a kind. */

import type { Outcome } from "../../kit/outcomes";
import { edgesOf, type Grid } from "../../pictures/cells";
import type { StudyMap } from "../contract";
import { outlines, patches, type Patch, type Segment } from "./cells";
import { valleyOf, type Valley } from "./scale";

export interface MapPicture {
  map: StudyMap;
  /** The cells in colours. */
  grid: Grid;
  /** The edges of the columns (steps) and of the rows (rates). */
  x: number[];
  y: number[];
  valley: Valley;
  borders: Segment[];
  regions: Patch<Outcome | null>[];
  lossName: string;
}

/** A cell of a map: the index of its rate and of its checkpoint. */
export interface Cell {
  rate: number;
  checkpoint: number;
}

/** Make the picture of a map.
 *
 * @param map - the map; it may be one of a study that still runs.
 * @param watched - "evaluation" or "training": the loss that it shows.
 */
export function pictureOf(map: StudyMap, watched: string): MapPicture {
  const x = edgesOf(map.checkpoints);
  const y = edgesOf(map.lrs);
  const isLost = (row: number, column: number): boolean => {
    const outcome = map.outcomes[row]?.[column] ?? null;
    return outcome === "diverging" || outcome === "non_finite";
  };
  const valley = valleyOf(map.losses, map.start ?? null, isLost, watched);
  return {
    map,
    grid: gridOf(map, valley),
    x,
    y,
    valley,
    borders: outlines(map.outcomes, x, y),
    regions: patches(map.outcomes).filter((region) => region.kind !== null),
    lossName: `${watched} loss`,
  };
}

function gridOf(map: StudyMap, valley: Valley): Grid {
  return {
    xs: map.checkpoints,
    ys: map.lrs,
    values: map.losses.flat().map((loss) => loss ?? Number.NaN),
    low: valley.scale.lowest,
    high: valley.scale.highest,
    logarithmic: valley.scale.logarithmic,
    worseThan: valley.worseThan,
  };
}

export interface CellReading {
  lr: number;
  steps: number;
  loss: number | null;
  outcome: Outcome | null;
  isBest: boolean;
}

/** Return what a cell holds. */
export function readingOf(map: StudyMap, cell: Cell): CellReading {
  const lr = map.lrs[cell.rate] as number;
  return {
    lr,
    steps: map.checkpoints[cell.checkpoint] as number,
    loss: map.losses[cell.rate]?.[cell.checkpoint] ?? null,
    outcome: map.outcomes[cell.rate]?.[cell.checkpoint] ?? null,
    isBest: map.best[cell.checkpoint]?.lr === lr,
  };
}

/** Return where to begin looking: the best rate of the longest budget, or else the middle. */
export function firstCell(map: StudyMap): Cell {
  const checkpoint = map.checkpoints.length - 1;
  const best = map.best[checkpoint]?.lr;
  const rate = best === undefined ? -1 : map.lrs.indexOf(best);
  return { rate: rate >= 0 ? rate : Math.floor(map.lrs.length / 2), checkpoint };
}
