/** The level of noisy losses. */

type Value = number | null;

const PARTS_OF_RUN = 40;
/** The mean step between neighbours, as a share of what the losses span, from which on they count as noisy. */
const NOISY = 0.015;

/** Return the mean of each loss with its neighbours, a fortieth of the run in all; null stays null. */
export function smoothed(losses: readonly Value[]): Value[] {
  const half = Math.floor(losses.length / PARTS_OF_RUN / 2);
  const sums = [0];
  const counts = [0];
  for (const loss of losses) {
    sums.push(sums.at(-1)! + (loss ?? 0));
    counts.push(counts.at(-1)! + (loss === null ? 0 : 1));
  }
  return losses.map((loss, index) => {
    // At the start no farther ahead than back, or a steep beginning would be drawn down.
    const from = Math.max(0, index - half);
    const to = Math.min(losses.length, index + Math.min(half, index) + 1);
    return loss === null ? null : (sums[to]! - sums[from]!) / (counts[to]! - counts[from]!);
  });
}

/** Return whether losses jump so much that their level shows more than they do. */
export function isNoisy(losses: readonly Value[]): boolean {
  const known = losses.filter((loss) => loss !== null);
  if (known.length < 2 * PARTS_OF_RUN) return false;
  const sorted = [...known].sort((one, other) => one - other);
  const span = sorted[Math.floor(0.95 * (sorted.length - 1))]! - sorted[0]!;
  const jumps = known.slice(1).map((loss, index) => Math.abs(loss - known[index]!)).sort((one, other) => one - other);
  return span > 0 && jumps[jumps.length >> 1]! > NOISY * span;
}
