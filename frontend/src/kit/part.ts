/** A part of the page, as the shell sees it. */

import type { Address } from "./address";

export interface Part {
  /** Show the part inside an element; returns how to take it away again, with all its timers and listeners. */
  mount(el: HTMLElement, address: Address): () => void;
}
