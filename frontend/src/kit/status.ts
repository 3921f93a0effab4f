/** A line that tells what changed, also to those who cannot see it. */

import { element, setText } from "./element";

const PAUSE = 500;

export interface StatusLine {
  readonly element: HTMLElement;
  /** Say something once nothing newer has come for half a second: a screen reader would never finish otherwise. */
  say(text: string): void;
  /** Forget what has not been said. */
  stop(): void;
}

/** Return a polite status line; hidden from sight unless it is asked to be visible. */
export function statusLine({ visible = false } = {}): StatusLine {
  const line = element("p", { class: visible ? "status" : "status unseen", role: "status", "aria-live": "polite" });
  let timer = 0;
  return {
    element: line,
    say(text) {
      clearTimeout(timer);
      timer = setTimeout(() => setText(line, text), PAUSE) as unknown as number;
    },
    stop() {
      clearTimeout(timer);
    },
  };
}
