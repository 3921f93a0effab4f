/** The sentence above the pictures: what became of the run, or what the range test found. */

import { element, setText } from "../kit/element";
import { rangeSentence, ruleHolds } from "./range_test";
import type { LessonView } from "./view";

/** What is said of a view; `words` head it. */
interface Told {
  readonly words: string;
  readonly sentence: string;
  readonly detail: string;
}

/** Return what is said of a view: while the range test is looked at, it comes first. */
export function toldOf({ range, verdict }: LessonView): Told {
  if (!range) return verdict;
  return {
    words: ruleHolds(range) ? "range test" : "range test: no answer",
    sentence: rangeSentence(range),
    detail: `${verdict.sentence} ${verdict.detail}`,
  };
}

/** Make the line. */
export function verdictLine() {
  const [words, sentence, detail] = [element("span", { class: "words" }), element("strong"), element("span", { class: "detail" })];
  const line = element("p", { class: "verdict" }, words, sentence, " ", detail);
  return {
    element: line,
    show(view: LessonView) {
      const told = toldOf(view);
      line.dataset["words"] = told.words;
      setText(words, told.words);
      setText(sentence, told.sentence);
      setText(detail, told.detail);
    },
  };
}
