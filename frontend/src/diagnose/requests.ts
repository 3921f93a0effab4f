/** Sending a log to the server of the page, which reads it in memory and keeps nothing of it. */

import { ask } from "../kit/asking";
import type { Diagnosed, Question } from "./contract";

/** The most bytes that the server takes. */
export const MOST_BYTES = 8 * 2 ** 20;

/** A log that was dropped, chosen or pasted. */
export interface LogFile {
  name: string;
  content: Blob;
  /** The learning rate that was told with it; undefined where there was no place to tell it. */
  lr?: string | null;
}

export function askDiagnosis(file: LogFile, question: Question, signal: AbortSignal): Promise<Diagnosed> {
  const values = new URLSearchParams({ name: file.name });
  for (const [name, value] of Object.entries(question)) if (value !== null && value !== "") values.set(name, value);
  return ask(`api/diagnose?${values}`, {
    method: "POST",
    body: file.content,
    headers: { "Content-Type": "application/octet-stream" },
    signal,
  });
}
