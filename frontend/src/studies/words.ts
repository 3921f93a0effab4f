/** How the page calls things. */

import { count, counted } from "../kit/numbers";
import type { State, StudyDetail, StudyEntry } from "./contract";

export const STATES: Record<State, string> = { running: "Running", finished: "Finished", stopped: "Stopped" };

/** What the runs of a study are called, where they are not called runs. */
const RUNS: Record<string, string> = { "range-test": "repeat" };

/** Return how far a study is, in words. */
export function progressOf(study: StudyEntry | StudyDetail): string {
  if ("test_runs" in study && study.recommendation !== null && study.test_runs !== undefined) {
    return `${counted(study.recommendation.probes.length, "probe")}, ${counted(study.test_runs, "short test run")}`;
  }
  const runs = RUNS[study.kind] ?? "run";
  if (study.planned === null || study.state === "finished") return counted(study.curves, runs);
  return `${count(study.curves)} of ${counted(study.planned, runs)}`;
}

/** Return how much of a study is done, from 0 to 1, or null where nobody knows. */
export function shareDone(study: StudyEntry): number | null {
  if (study.state === "finished") return 1;
  if (study.planned === null || study.planned <= 0) return null;
  return Math.min(1, study.curves / study.planned);
}

/** Split what a study was begun on into its name and the fingerprint of its file, if it was told. */
export function targetOf(target: string): { name: string; fingerprint: string | null } {
  const [, name = target, fingerprint = null] = /^(.*) sha256:([0-9a-f]+)$/.exec(target) ?? [];
  return { name, fingerprint };
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
