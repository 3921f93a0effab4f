/** Asking the server of the page. */

/** What the server said when it could not do as asked, as a sentence. */
export class Refusal extends Error {
  constructor(
    sentence: string,
    /** 200 where nothing is wrong with the question, 0 where nobody answered. */
    readonly status: number,
    /** What else it said. */
    readonly told: Record<string, unknown> = {},
  ) {
    super(sentence);
  }
}

const SILENT = "The server does not answer. Is `lrscout ui` still running?";

/** Return what the server answers, or throw a `Refusal` with its sentence.
 *
 * @param address - relative to the page, which may be served below any path.
 */
export async function ask<Answer>(address: string, options: RequestInit = {}): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(address, { ...options, headers: { Accept: "application/json", ...options.headers } });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refusal(SILENT, 0);
  }
  const told: unknown = await response.json().catch(() => null);
  if (!response.ok || isRefusal(told)) throw refusal(response.status, told);
  return told as Answer;
}

function isRefusal(told: unknown): boolean {
  return typeof told === "object" && told !== null && typeof (told as Record<string, unknown>)["error"] === "string";
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
