/** Sending a log to the server on this machine. */

import { ask } from "../studies/requests";
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
  return ask(`/api/diagnose?${values}`, {
    method: "POST",
    body: file.content,
    headers: { "Content-Type": "application/octet-stream" },
    signal,
  });
}

const NUMBERS = /^[\s,;[\]]*(?:(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|[+-]?inf(?:inity)?)[\s,;[\]]*)+$/i;

/** Return pasted text as a log: losses one after another become a column, anything else stays what it is. */
export function pastedLog(text: string, lr: string | null): LogFile {
  if (!NUMBERS.test(text)) return { name: "pasted text", content: new Blob([text]), lr };
  const losses = text.split(/[\s,;[\]]+/).filter((loss) => loss !== "");
  return { name: "pasted losses", content: new Blob([`loss\n${losses.join("\n")}\n`]), lr };
}
