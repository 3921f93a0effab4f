/** The lesson's scenes: choices that each show one thing. */

import type { State } from "./state";

export interface Scene {
  readonly name: string;
  /** What there is to see, in a few words. */
  readonly about: string;
  readonly choice: Partial<State>;
}

const FROM_THE_START = { w: 0, b: -1, noise: 1, momentum: 0, look: "steps" } as const;

export const SCENES: readonly Scene[] = [
  { name: "Too small", about: "0.001 for 100 steps", choice: { ...FROM_THE_START, lr: 0.001, steps: 100 } },
  { name: "Just right", about: "0.5 for 200 steps", choice: { ...FROM_THE_START, lr: 0.5, steps: 200 } },
  { name: "Jumping", about: "0.9 for 3 steps", choice: { ...FROM_THE_START, lr: 0.9, steps: 3 } },
  { name: "NaN", about: "10 for 200 steps", choice: { ...FROM_THE_START, lr: 10, steps: 200 } },
  {
    name: "Range test",
    about: "let the rate rise",
    choice: { ...FROM_THE_START, lr: 0.233, steps: 200, look: "range" },
  },
];

/** Return whether a state is what a scene shows. */
export function isScene(scene: Scene, state: State): boolean {
  return Object.entries(scene.choice).every(([name, value]) => state[name as keyof State] === value);
}
