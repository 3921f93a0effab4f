/** The studies in the store: their list, and each of them. */

import "./studies.css";
import type { Address } from "../kit/address";
import { fill } from "../kit/element";
import type { Part } from "../kit/part";
import { listing } from "./listing";
import { valuesOf, viewOf } from "./state";
import { studyPage, type StudyPage } from "./study";

/** Show the part inside an element; returns how to take it away again. */
function mount(el: HTMLElement, address: Address): () => void {
  let open: { name: string | null; page: StudyPage | null; stop(): void } | null = null;

  function show(values: URLSearchParams): void {
    const view = viewOf(values);
    if (open !== null && open.name === view.name) {
      open.page?.look(view);
      return;
    }
    open?.stop();
    if (view.name === null) {
      const list = listing(view.filter, (filter) => address.write(valuesOf({ ...view, filter })));
      open = { name: null, page: null, stop: () => list.stop() };
      fill(el, list.element);
    } else {
      const page = studyPage(view.name, view, (next) => address.write(valuesOf(next)));
      open = { name: view.name, page, stop: () => page.stop() };
      fill(el, page.element);
    }
  }

  const stopHearing = address.onChange(show);
  show(address.values);
  return () => {
    stopHearing();
    open?.stop();
  };
}

export const studies: Part = { mount };
