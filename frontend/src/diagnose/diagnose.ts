/** A log goes in; how the run went, why, and what would mend it come out. */

import "./diagnose.css";
import { Refusal, sentence } from "../kit/asking";
import { element, fill, setText } from "../kit/element";
import { latest } from "../kit/latest";
import type { Part } from "../kit/part";
import { statusLine } from "../kit/status";
import { answerView, choice, type Answer } from "./answer";
import type { Diagnosed, Question } from "./contract";
import { intake } from "./intake";
import { askDiagnosis, type LogFile } from "./requests";

const NOTHING_ASKED: Question = { run: null, loss: null, lr: null };

/** Show the part inside an element; returns how to take it away again. */
function mount(el: HTMLElement): () => void {
  let file: LogFile | null = null;
  let question = NOTHING_ASKED;
  let answer: Answer | null = null;

  const trouble = element("div", { class: "trouble", role: "alert", hidden: true });
  const place = element("div", { "aria-busy": "false" });
  const status = statusLine();
  const way = intake(receive, (told) => refuse(told));
  const answers = latest<Diagnosed>(show, (error) => {
    place.setAttribute("aria-busy", "false");
    refuse(sentence(error), error instanceof Refusal ? error : null);
  });

  function receive(log: LogFile): void {
    file = log;
    question = { ...NOTHING_ASKED, lr: log.lr ?? null };
    send();
  }

  function send(change: Partial<Question> = {}): void {
    if (file === null) return;
    const log = file;
    question = { ...question, ...change };
    place.setAttribute("aria-busy", "true");
    answers.load((signal) => askDiagnosis(log, question, signal));
  }

  function show(told: Diagnosed): void {
    answer?.stop();
    answer = answerView(file!, told, question, send);
    trouble.hidden = true;
    place.setAttribute("aria-busy", "false");
    fill(place, answer.element);
    way.setCompact(true, file!.name);
    status.say(`${file!.name}: ${told.sentences.join(" ")}`);
  }

  /** Say why there is no answer; where the log has columns or runs to choose from, offer them. */
  function refuse(told: string, refusal: Refusal | null = null): void {
    answer?.stop();
    answer = null;
    fill(place);
    way.setCompact(false);
    const columns = namesIn(refusal?.told["losses"]);
    const runs = namesIn(refusal?.told["runs"]);
    fill(
      trouble,
      element("p", {}, told),
      columns.length > 0 && choice("Take as the loss", columns, null, (loss) => send({ loss })),
      runs.length > 0 && choice("Take the run", runs, null, (run) => send({ run })),
    );
    trouble.hidden = false;
    status.say("");
  }

  const title = element("h1", {}, "Diagnose");
  const lead = element("p", { class: "lead" });
  setText(lead, "How did a run go, why, and what would mend it? Its losses tell.");
  fill(el, element("section", { class: "diagnose", "aria-label": "Diagnose" }, element("header", {}, title, lead), way.element, trouble, place, status.element));
  return () => {
    answers.stop();
    answer?.stop();
    way.stop();
    status.stop();
  };
}

function namesIn(told: unknown): string[] {
  return Array.isArray(told) ? told.filter((name) => typeof name === "string") : [];
}

export const diagnose: Part = { mount };
