/** What the page asks the server. */

import type { StudyCurves, StudyDetail, StudyList, StudyMap } from "./contract";

/** What the server said when it could not do as asked, as a sentence. */
export class Refusal extends Error {
  constructor(
    sentence: string,
    readonly status: number,
    /** What else it said. */
    readonly told: Record<string, unknown> = {},
  ) {
    super(sentence);
  }
}

const SILENT = "The server does not answer. Is `lrscout ui` still running?";

/** Return what the server answers, or throw a `Refusal` with its sentence. */
export async function ask<Answer>(address: string, options: RequestInit = {}): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(address, { ...options, headers: { Accept: "application/json", ...options.headers } });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refusal(SILENT, 0);
  }
  const told: unknown = await response.json().catch(() => null);
  if (!response.ok) throw refusal(response.status, told);
  return told as Answer;
}

function refusal(status: number, told: unknown): Refusal {
  const known = typeof told === "object" && told !== null ? (told as Record<string, unknown>) : {};
  const sentence = typeof known["error"] === "string" ? known["error"] : `The server answered with status ${status}.`;
  return new Refusal(sentence, status, known);
}

/** Return whether an error only says that nobody waits for the answer any more. */
export function wasCancelled(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** Return an error as a sentence for the reader. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const named = (name: string): string => new URLSearchParams({ name }).toString();

export const askStudies = (signal: AbortSignal): Promise<StudyList> => ask("/api/studies", { signal });

export const askStudy = (name: string, signal: AbortSignal): Promise<StudyDetail> =>
  ask(`/api/study?${named(name)}`, { signal });

export const askMap = (name: string, signal: AbortSignal): Promise<StudyMap> =>
  ask(`/api/study/map?${named(name)}`, { signal });

/** Ask for the curves of some rates; of none, for a few that are spread over all. */
export function askCurves(name: string, lrs: readonly number[], signal: AbortSignal): Promise<StudyCurves> {
  const rates = lrs.map((lr) => `&lr=${encodeURIComponent(String(lr))}`).join("");
  return ask(`/api/study/curves?${named(name)}${rates}&points=600`, { signal });
}

/** Return where the server offers a study as a file. */
export function exportAddress(name: string, format: string): string {
  return `/api/study/export?${named(name)}&format=${format}`;
}
