/** One study: what it says, how far it is, and its views. */

import { fragmentOf } from "../kit/address";
import { Refusal, sentence, wasCancelled } from "../kit/asking";
import { element, fill, setText } from "../kit/element";
import { statusLine } from "../kit/status";
import type { StudyDetail } from "./contract";
import { kindMark, progressMark, stateMark } from "./marks";
import { curvesPanel } from "./panels/curves_panel";
import { costText, detailsPanel } from "./panels/details_panel";
import { mapPanel } from "./panels/map_panel";
import type { Change, Panel } from "./panels/panel";
import { racePanel } from "./panels/race_panel";
import { rangePanel } from "./panels/range_panel";
import { ratesPanel } from "./panels/rates_panel";
import { keepAsking, LATER, SOON } from "./polling";
import { askStudy } from "./requests";
import { ratesOf, type Tab, type View } from "./state";
import { tabs, type Tabs } from "./tabs";
import { ago, moment, progressOf, STATES } from "./words";

export interface StudyPage {
  readonly element: HTMLElement;
  /** Look at the same study another way. */
  look(view: View): void;
  stop(): void;
}

/** What the sentence begins with that tells what a result cost; it stands by itself. */
const COST = "Cost:";

const TITLES: Record<Tab, string> = { map: "Map", race: "Race", range: "Range test", curves: "Curves", rates: "Rates", details: "Details" };

const PANELS: Record<Tab, (change: Change) => Panel> = {
  map: mapPanel,
  race: racePanel,
  range: rangePanel,
  curves: curvesPanel,
  rates: ratesPanel,
  details: detailsPanel,
};

/** Return whether the server has not yet judged every run of a sweep, which takes it a moment where they are many. */
function isBeingJudged(study: StudyDetail): boolean {
  return study.kind === "sweep" && study.rates.some((rate) => rate.outcome === null);
}

function tabsOf(kind: string): Tab[] {
  // Its rate rises at every step, so there are no curves of single rates to choose from.
  if (kind === "range-test") return ["range", "details"];
  const first: Tab[] = kind === "sweep" ? ["map"] : kind === "find" ? ["race"] : [];
  return [...first, "curves", "rates", "details"];
}

/** Show a study, and follow it while it runs.
 *
 * @param name - its name.
 * @param start - how to look at it at first.
 * @param onLook - is told how the reader looks at it then.
 */
export function studyPage(name: string, start: View, onLook: (view: View) => void): StudyPage {
  let view = start;
  let study: StudyDetail | null = null;
  let choice: Tabs<Tab> | null = null;
  let panel: { tab: Tab; panel: Panel } | null = null;

  const marks = [kindMark(), stateMark(), progressMark()];
  const begun = element("time");
  const meta = element("p", { class: "meta" }, ...marks.map((mark) => mark.element), begun);
  const answer = element("p", { class: "answer" });
  const others = element("p", { class: "sentences" });
  const cost = element("p", { class: "cost" });
  const trouble = element("p", { class: "trouble", role: "alert", hidden: true });
  const views = element("div");
  const status = statusLine();
  const heading = element("h1", {}, name);
  const body = element("div", { hidden: true }, meta, element("div", { class: "said" }, answer, others, cost), views);

  function show(next: StudyDetail): void {
    const hasChanged = JSON.stringify(study) !== JSON.stringify(next);
    if (study !== null && study.created !== next.created) forgetViews();
    study = next;
    body.hidden = false;
    for (const mark of marks) mark.show(next);
    setText(begun, `begun ${ago(next.created, Date.now())}`);
    begun.dateTime = next.created;
    begun.title = moment(next.created);
    if (!hasChanged) return;
    const [first = "", ...rest] = next.sentences.filter((told) => !told.startsWith(COST));
    const told = next.sentences.find((told) => told.startsWith(COST));
    setText(answer, first);
    setText(others, rest.join(" "));
    setText(cost, told ?? (next.cost === null ? "" : `${COST} ${costText(next.cost)}.`));
    status.say(`${name}: ${STATES[next.state]}, ${progressOf(next)}.`);
    showViews(next);
  }

  /** Begin anew: under the name of the study there is another one. */
  function forgetViews(): void {
    panel?.panel.stop();
    [panel, choice] = [null, null];
  }

  function showViews(next: StudyDetail): void {
    const known = tabsOf(next.kind);
    if (choice === null) {
      choice = tabs(known.map((tab) => [tab, TITLES[tab]] as const), (tab) => change({ tab }));
      fill(views, choice.list, choice.panel);
    }
    const tab = view.tab !== null && known.includes(view.tab) ? view.tab : known[0]!;
    if (panel?.tab !== tab) {
      panel?.panel.stop();
      panel = { tab, panel: PANELS[tab](change) };
      fill(choice.panel, panel.panel.element);
      choice.select(tab);
    }
    panel.panel.show(next, { ...view, lrs: ratesOf(view.lrs, next.rates.map((rate) => rate.lr)) });
  }

  function change(part: Partial<View>): void {
    view = { ...view, ...part };
    onLook(view);
    if (study !== null) showViews(study);
  }

  function tell(problem: string | null): void {
    trouble.hidden = problem === null;
    setText(trouble, problem ?? "");
  }

  const stopAsking = keepAsking(async (signal) => {
    try {
      show(await askStudy(name, signal));
      tell(null);
    } catch (error) {
      if (wasCancelled(error)) return SOON;
      tell(sentence(error));
      if (!(error instanceof Refusal && error.status === 200)) return SOON;
      // It has yet to begin, or was deleted and may begin again.
      body.hidden = true;
      return LATER;
    }
    // One that was stopped may go on, and one that is finished may be deleted and begun again.
    return study !== null && study.state === "finished" && !isBeingJudged(study) ? LATER : SOON;
  });

  const back = element("a", { class: "back", href: fragmentOf("studies") }, "← All studies");
  return {
    element: element("section", { class: "study", "aria-label": `Study ${name}` }, back, heading, trouble, body, status.element),
    look(next) {
      view = next;
      if (study !== null) showViews(study);
    },
    stop() {
      stopAsking();
      status.stop();
      panel?.panel.stop();
    },
  };
}
