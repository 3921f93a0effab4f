/** The stage of the lesson: the choices, the verdict and four pictures that follow them, once per frame. */

import type { Address } from "../kit/address";
import { element } from "../kit/element";
import { newest } from "../kit/newest";
import { statusLine } from "../kit/status";
import { bowlPicture } from "./bowl_picture";
import { mainControls, otherControls } from "./controls";
import { lossPicture } from "./loss_picture";
import { mapPicture } from "./map_picture";
import { pointsPicture } from "./points_picture";
import type { Draw } from "./problem";
import { isScene, SCENES } from "./scenes";
import { BOUNDS, type State, stateFrom, valuesOf, within } from "./state";
import { toldOf, verdictLine } from "./verdict_line";
import { type LessonView, viewsOf } from "./view";
import { walk } from "./walk";

export interface Picture {
  readonly element: HTMLElement;
  show(view: LessonView): void;
  stop(): void;
}

export interface Stage {
  readonly element: HTMLElement;
  /** Choose something, as if by the sliders. */
  change(choice: Partial<State>): void;
  stop(): void;
}

const WRITE_AFTER = 200;

/**
 * Make the stage for a draw, in the state that the address has.
 *
 * @param told - hears the verdict whenever the choices have come to rest.
 */
export function makeStage(draw: Draw, address: Address, told?: (verdict: string) => void): Stage {
  const viewOf = viewsOf(draw);
  let state = stateFrom(address.values);
  let updates = 0;
  let writing = 0;

  const change = (choice: Partial<State>) => {
    state = inBounds({ ...state, ...choice }, state);
    frames.set(state);
    clearTimeout(writing);
    writing = setTimeout(rest, WRITE_AFTER) as unknown as number;
  };
  const rest = () => {
    address.write(valuesOf(state));
    told?.(viewOf(state).verdict.sentence);
  };
  const pictures = [pointsPicture(), lossPicture(change), bowlPicture(), mapPicture(change)];
  const parts = [scenes(change), verdictLine(), mainControls(change), walk(change), otherControls(change)] as const;
  const [sceneRow, verdict, main, numbers, others] = parts;
  const status = statusLine();
  const root = element(
    "section",
    { class: "lesson-stage", "aria-label": "Gradient descent on a line" },
    sceneRow.element,
    element("div", { class: "deck" }, verdict.element, main.element),
    element("div", { class: "pictures" }, ...pictures.map(({ element: picture }) => picture)),
    numbers.element,
    others.element,
    status.element,
  );
  const show = (next: State) => {
    const view = viewOf(next);
    for (const part of [...pictures, ...parts]) part.show(view);
    const { sentence, detail } = toldOf(view);
    status.say(`${sentence} ${detail}`);
    updates += 1;
    describe(root, view, updates);
  };
  const frames = newest(show);
  const stopAddress = address.onChange((values) => {
    state = stateFrom(values);
    frames.set(state);
  });
  show(state);
  told?.(viewOf(state).verdict.sentence);
  return {
    element: root,
    change,
    stop() {
      clearTimeout(writing);
      frames.stop();
      status.stop();
      stopAddress();
      for (const picture of pictures) picture.stop();
    },
  };
}

function inBounds(state: State, before: State): State {
  const bounded = { ...state };
  for (const name of Object.keys(BOUNDS) as (keyof typeof BOUNDS)[]) bounded[name] = within(name, state[name], before[name]);
  return bounded;
}

/** Put on the stage what it shows, in numbers, for whoever reads the page by program. */
function describe(root: HTMLElement, { state, descent, limit, verdict }: LessonView, updates: number): void {
  Object.assign(root.dataset, {
    lr: state.lr,
    steps: state.steps,
    w: descent.w.at(-1),
    b: descent.b.at(-1),
    loss: descent.losses.at(-1),
    limit,
    outcome: verdict.words.toLowerCase().replaceAll(" ", "_"),
    updates,
  });
}

function scenes(change: (choice: Partial<State>) => void) {
  const buttons = SCENES.map((scene) => {
    const press = () => change(scene.choice);
    return element("button", { type: "button", on: { click: press } }, element("b", {}, scene.name), element("small", {}, scene.about));
  });
  return {
    element: element("div", { class: "scenes", role: "group", "aria-label": "Scenes" }, ...buttons),
    show({ state }: LessonView) {
      buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(isScene(SCENES[index]!, state))));
    },
  };
}
