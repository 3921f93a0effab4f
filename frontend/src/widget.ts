/** The lesson as a notebook widget, as anywidget asks for it. */

import { type Address, privateAddress, type Values } from "./kit/address";
import { startTheme } from "./kit/theme";
import type { Draw } from "./lesson/problem";
import { makeStage } from "./lesson/stage";

/** What anywidget gives: the traits of the Python side. */
export interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  on(event: string, listener: () => void): void;
  off(event: string, listener: () => void): void;
}

/** The traits that are the reader's choices; they may be set from either side. */
const CHOICES = ["lr", "steps", "w", "b", "noise", "momentum"] as const;

/** Show the lesson in a notebook's output. */
export function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  el.classList.add("lrscout", "widget");
  const told = (verdict: string) => {
    model.set("verdict", verdict);
    model.save_changes();
  };
  const stage = makeStage(model.get("points") as Draw, addressIn(model), told);
  el.replaceChildren(stage.element);
  const stopTheme = startTheme({ remembered: false });
  return () => {
    stage.stop();
    stopTheme();
  };
}

/** Return an address that lives in the traits of a model, where a page has its URL. */
function addressIn(model: Model): Address {
  let look: Values[string] = null;
  const write = (values: Values) => {
    look = values["look"];
    for (const name of CHOICES) if (model.get(name) !== values[name]) model.set(name, values[name]);
    model.save_changes();
  };
  const current = () =>
    privateAddress({ ...Object.fromEntries(CHOICES.map((name) => [name, model.get(name) as number])), look }).values;
  return {
    get values() {
      return current();
    },
    write,
    go: write,
    onChange(listener) {
      const hear = () => listener(current());
      const events = CHOICES.map((name) => `change:${name}`);
      for (const event of events) model.on(event, hear);
      return () => {
        for (const event of events) model.off(event, hear);
      };
    },
  };
}
