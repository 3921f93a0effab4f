/** What stands where there is nothing yet: how to begin. */

import { element } from "../kit/element";

const SWEEP = "lrscout sweep lrscout.examples.digits:digits --lrs 1e-3:10:25 --steps 300 --study first";
const PYTHON = 'lrscout.sweep(loop, lrs, steps=300, study="first")  # kept in lrscout.db';

/** Say how to make a store.
 *
 * @param awaited - the one that the page waits for; null where it was started without any.
 */
export function noStore(awaited: string | null): HTMLElement {
  if (awaited === null) return invitation("This page has no store.", "A sweep or a search makes one and keeps every run in it. Then start the page beside it.");
  return invitation(`${awaited} is not there yet.`, "A sweep or a search makes it and keeps every run in it. Its studies appear here by themselves.");
}

/** Say how to put the first study into a store. */
export function emptyStore(store: string): HTMLElement {
  return invitation(`${store} holds no study yet.`, "Start one and watch it here while it runs.");
}

function invitation(title: string, text: string): HTMLElement {
  return element(
    "div",
    { class: "invitation" },
    element("h2", {}, title),
    element("p", {}, text),
    element("pre", { tabindex: 0, "aria-label": "In a terminal" }, element("code", {}, SWEEP)),
    element("pre", { tabindex: 0, "aria-label": "In Python" }, element("code", {}, PYTHON)),
  );
}
