/** How the page calls what becomes of a run. */

export type Outcome = "too_slow" | "converging" | "plateaued" | "oscillating" | "diverging" | "non_finite";

const OUTCOMES: Record<Outcome, string> = {
  too_slow: "too slow",
  converging: "converging",
  plateaued: "plateaued",
  oscillating: "oscillating",
  diverging: "diverging",
  non_finite: "not finite",
};

const MEANINGS: Record<Outcome, string> = {
  too_slow: "it moves the right way and is still far away",
  converging: "it is on its way down and slowing as it nears the bottom",
  plateaued: "it has stopped improving",
  oscillating: "it jumps from side to side without coming closer",
  diverging: "every step lands farther away; no number of steps will help",
  non_finite: "the numbers grew until they became none at all",
};

/** Return an outcome in words; a word that is not known stays what it is. */
export function outcomeName(outcome: string | null): string {
  if (outcome === null) return "not judged yet";
  return outcome in OUTCOMES ? OUTCOMES[outcome as Outcome] : outcome.replaceAll("_", " ");
}

/** Return an outcome as the beginning of a sentence. */
export function capitalised(text: string): string {
  return text && `${text[0]!.toUpperCase()}${text.slice(1)}`;
}

/** Return what an outcome means, or nothing where that is not known. */
export function outcomeMeaning(outcome: string | null): string {
  return outcome !== null && outcome in MEANINGS ? MEANINGS[outcome as Outcome] : "";
}
