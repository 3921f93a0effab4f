/** The small marks that a study wears: its kind, its state, how far it is. They are made once and then kept up to date. */

import { element, setText } from "../kit/element";
import type { State, StudyDetail, StudyEntry } from "./contract";
import { STATES, progressOf, shareDone } from "./words";

/** Something on the page that follows a study. */
export interface Mark {
  readonly element: HTMLElement;
  show(study: StudyEntry | StudyDetail): void;
}

/** The verb that a study is a call of. */
export function kindMark(): Mark {
  const mark = element("span", { class: "kind" });
  return { element: mark, show: (study) => setText(mark, study.kind) };
}

/** A dot and a word. */
export function stateMark(): Mark {
  const word = element("span");
  const mark = element("span", { class: "state" }, element("span", { class: "dot", "aria-hidden": "true" }), word);
  return {
    element: mark,
    show(study) {
      mark.dataset["state"] = study.state satisfies State;
      setText(word, STATES[study.state] ?? study.state);
    },
  };
}

/** A bar with a count below it. Where nobody knows the whole there is the count alone. */
export function progressMark(): Mark {
  const bar = element("progress", { max: 1, value: 0, "aria-label": "Progress" });
  const count = element("span", { class: "count" });
  return {
    element: element("span", { class: "progress" }, bar, count),
    show(study) {
      const share = shareDone(study);
      bar.hidden = share === null || study.state === "finished";
      if (share !== null && bar.value !== share) bar.value = share;
      setText(count, progressOf(study));
    },
  };
}
