/** How the page calls things. */

import { count, counted } from "../kit/numbers";
import type { Outcome, State, StudyEntry } from "./contract";

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

export const STATES: Record<State, string> = { running: "Running", finished: "Finished", stopped: "Stopped" };

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

/** Return how far a study is, in words. */
export function progressOf(study: StudyEntry): string {
  const runs = study.kind === "find" ? "probe" : "run";
  if (study.planned === null || study.state === "finished") return counted(study.curves, runs);
  return `${count(study.curves)} of ${counted(study.planned, runs)}`;
}

/** Return how much of a study is done, from 0 to 1, or null where nobody knows. */
export function shareDone(study: StudyEntry): number | null {
  if (study.state === "finished") return 1;
  if (study.planned === null || study.planned <= 0) return null;
  return Math.min(1, study.curves / study.planned);
}

const AGES: [number, Intl.RelativeTimeFormatUnit][] = [
  [60, "second"],
  [3600, "minute"],
  [86400, "hour"],
  [2592000, "day"],
  [31536000, "month"],
  [Infinity, "year"],
];

/** Return how long ago something was, such as "3 minutes ago". */
export function ago(created: string, now: number): string {
  const seconds = Math.max(0, (now - Date.parse(created)) / 1000);
  if (!Number.isFinite(seconds)) return created;
  if (seconds < 10) return "just now";
  let size = 1;
  for (const [limit, unit] of AGES) {
    if (seconds < limit) {
      return new Intl.RelativeTimeFormat("en", { numeric: "always" }).format(-Math.floor(seconds / size), unit);
    }
    size = limit;
  }
  return created;
}

/** Return a moment in UTC, such as "2026-11-21 18:17 UTC". */
export function moment(created: string): string {
  const date = new Date(created);
  return Number.isNaN(date.getTime()) ? created : `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** Return a time span in seconds in words, such as "1 min 20 s". */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds < 10 ? Number(seconds.toPrecision(2)) : Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
