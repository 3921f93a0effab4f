/** The lesson: why 0.5 arrives and 0.9 never will. */

import "./lesson.css";
import type { Address } from "../kit/address";
import { ask, sentence } from "../kit/asking";
import { element, fill } from "../kit/element";
import type { Part } from "../kit/part";
import type { Draw } from "./problem";
import { prose } from "./prose";
import { makeStage } from "./stage";

export const lesson: Part = {
  mount(el, address) {
    const request = new AbortController();
    let stop: () => void = () => undefined;
    ask<Draw>("api/lesson", { signal: request.signal })
      .then((draw) => {
        stop = showLesson(el, draw, address);
      })
      .catch((error: unknown) => {
        if (!request.signal.aborted) fill(el, element("p", { role: "alert" }, `The lesson's points did not come. ${sentence(error)}`));
      });
    return () => {
      request.abort();
      stop();
    };
  },
};

/** Show the whole lesson for a draw; returns how to take it away again. */
export function showLesson(el: HTMLElement, draw: Draw, address: Address): () => void {
  const stage = makeStage(draw, address);
  fill(
    el,
    element(
      "header",
      { class: "lesson-head" },
      element("h1", {}, "Why 0.5 arrives and 0.9 never will"),
      element(
        "p",
        {},
        "Training is walking downhill on the loss. The learning rate says how far each step goes, the steps how many there are. " +
          "Here the model is a line, two numbers, so that you can see all of it. Drag the learning rate.",
      ),
    ),
    stage.element,
    prose(draw, stage.change),
  );
  return stage.stop;
}
