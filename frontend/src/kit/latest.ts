/** Of several questions only the newest one's answer counts. */

import { wasCancelled } from "./asking";

export interface Latest<Answer> {
  /** Ask, and forget what was asked before. */
  load(ask: (signal: AbortSignal) => Promise<Answer>): void;
  stop(): void;
}

/** Deliver the answer to the newest question, or its failure. */
export function latest<Answer>(deliver: (answer: Answer) => void, fail: (error: unknown) => void): Latest<Answer> {
  let current = new AbortController();
  return {
    load(ask) {
      current.abort();
      current = new AbortController();
      const { signal } = current;
      ask(signal).then(
        (answer) => {
          if (!signal.aborted) deliver(answer);
        },
        (error: unknown) => {
          if (!signal.aborted && !wasCancelled(error)) fail(error);
        },
      );
    },
    stop() {
      current.abort();
    },
  };
}
