/** What the page asks the server about studies. */

import { ask } from "../kit/asking";
import type { StudyCurves, StudyDetail, StudyList, StudyMap, StudyRangeTest } from "./contract";

const named = (name: string): string => new URLSearchParams({ name }).toString();

export const askStudies = (signal: AbortSignal): Promise<StudyList> => ask("api/studies", { signal });

export const askStudy = (name: string, signal: AbortSignal): Promise<StudyDetail> =>
  ask(`api/study?${named(name)}`, { signal });

export const askMap = (name: string, signal: AbortSignal): Promise<StudyMap> =>
  ask(`api/study/map?${named(name)}`, { signal });

export const askRangeTest = (name: string, signal: AbortSignal): Promise<StudyRangeTest> =>
  ask(`api/study/range-test?${named(name)}`, { signal });

/** Ask for the curves of some rates; of none, for a few that are spread over all. */
export function askCurves(name: string, lrs: readonly number[], signal: AbortSignal): Promise<StudyCurves> {
  const rates = lrs.map((lr) => `&lr=${encodeURIComponent(String(lr))}`).join("");
  return ask(`api/study/curves?${named(name)}${rates}&points=600`, { signal });
}

/** Return where the server offers a study as a file. */
export function exportAddress(name: string, format: string): string {
  return `api/study/export?${named(name)}&format=${format}`;
}
