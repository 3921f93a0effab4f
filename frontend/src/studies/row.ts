/** One study in the list. */

import { fragmentOf } from "../kit/address";
import { element, setText } from "../kit/element";
import type { StudyEntry } from "./contract";
import { kindMark, progressMark, stateMark } from "./marks";
import { ago, moment, targetOf } from "./words";

export interface StudyRow {
  readonly element: HTMLTableRowElement;
  /** Bring the row up to date; what has not changed is not touched. */
  show(study: StudyEntry, now: number): void;
}

/** Make the row of a study, which the whole of it opens. */
export function studyRow(name: string): StudyRow {
  const target = element("span", { class: "target" });
  const link = element("a", { class: "name", href: fragmentOf("studies", { name }) }, name);
  const marks = [kindMark(), stateMark(), progressMark()];
  const begun = element("time");
  const cells = marks.map((mark) => element("td", {}, mark.element));
  const row = element("tr", {}, element("th", { scope: "row" }, link, target), ...cells, element("td", { class: "begun" }, begun));
  return {
    element: row,
    show(study, now) {
      for (const mark of marks) mark.show(study);
      setText(target, study.target === null ? "" : targetOf(study.target).name);
      target.hidden = study.target === null;
      setText(begun, ago(study.created, now));
      if (begun.dateTime !== study.created) {
        begun.dateTime = study.created;
        begun.title = moment(study.created);
      }
    },
  };
}
