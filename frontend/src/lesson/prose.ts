/** The lesson in nine points, each with what to try. */

import { type Child, element } from "../kit/element";
import { fixed, general } from "../kit/numbers";
import { descend } from "./descent";
import { type Draw, limitOf, problemOf } from "./problem";
import { OPENING, type State } from "./state";

interface Point {
  readonly title: string;
  readonly text: Child[];
  readonly tries?: readonly (readonly [label: string, choice: Partial<State>])[];
}

const REFERENCE = { w: 0, b: -1, noise: 1, momentum: 0, look: "steps" } as const;

/** Return the lesson's points; their numbers are worked out from the draw. */
export function prose(draw: Draw, change: (choice: Partial<State>) => void): HTMLElement {
  return element(
    "section",
    { class: "prose", "aria-labelledby": "nine-points" },
    element("h2", { id: "nine-points" }, "What you have just seen"),
    element("ol", {}, ...pointsOf(draw).map((point) => shown(point, change))),
  );
}

function shown({ title, text, tries = [] }: Point, change: (choice: Partial<State>) => void): HTMLElement {
  const attempt = (label: string, choice: Partial<State>) => {
    const press = () => {
      change(choice);
      document.querySelector(".lesson-stage")?.scrollIntoView({ behavior: wantsStillness() ? "instant" : "smooth", block: "start" });
    };
    return element("button", { type: "button", class: "quiet", on: { click: press } }, label);
  };
  return element(
    "li",
    {},
    element("h3", {}, title),
    element("p", {}, ...text),
    tries.length > 0 && element("p", { class: "tries" }, ...tries.map(([label, choice]) => attempt(label, { ...REFERENCE, ...choice }))),
  );
}

function wantsStillness(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Write what a number is, in one piece. */
function equation(name: string, value: number): string {
  return `${name}\u00a0=\u00a0${fixed(value, 4)}`;
}

function pointsOf(draw: Draw): Point[] {
  const problem = problemOf(draw, 1);
  const { flat, steep } = problem.curvatures;
  const limit = general(limitOf(problem, 0), 3);
  const { w, b } = problem.leastSquares;
  const right = descend(problem, { lr: 0.5, steps: 200, start: OPENING, momentum: 0 });
  const code = (text: string) => element("code", {}, text);
  return [
    {
      title: "The data",
      text: [
        `${draw.x.length} points around a line, y = ${general(draw.true.w)} x + ${general(draw.true.b)}. They miss it by chance, up and ` +
          "down: that is the noise. Without it, every point lies on the line.",
      ],
      tries: [["no noise", { lr: 0.5, steps: 200, noise: 0 }]],
    },
    {
      title: "The model",
      text: [
        "Two numbers, a weight w and a bias b. For each x it predicts ",
        code("w x + b"),
        ". The loss says how mistaken it is: how far each point lies above or below the line, squared, and of all these the mean.",
      ],
    },
    {
      title: "The gradient",
      text: [
        "It tells which way the loss rises, and how steeply. So every step goes the other way: ",
        code("w −= learning rate × gradient"),
        ". Where the ground is steep, the step is long.",
      ],
      tries: [["one step at 0.1", { lr: 0.1, steps: 1 }]],
    },
    {
      title: "Two choices, not one",
      text: [
        "The steps say how long it computes, the learning rate how far each step goes. You set them apart from each other, and only " +
          "together do they get there. The map holds every pair of them; drag the dot over it.",
      ],
    },
    {
      title: "Too small",
      text: ["At 0.001 every step is right and tiny. After 100 the line is still far from the points. More steps would do; you only have to wait."],
      tries: [
        ["100 steps", { lr: 0.001, steps: 100 }],
        ["1000 steps", { lr: 0.001, steps: 1000 }],
      ],
    },
    {
      title: "Too large",
      text: [
        "At 0.9 the first step flies over the valley and lands higher on the other side. There the ground is steeper, so the next " +
          "jump is longer. It never ends, until the numbers are too large to be numbers: NaN.",
      ],
      tries: [
        ["step 1", { lr: 0.9, steps: 1 }],
        ["step 2", { lr: 0.9, steps: 2 }],
        ["step 3", { lr: 0.9, steps: 3 }],
        ["200 steps", { lr: 0.9, steps: 200 }],
        ["10 instead of 0.9", { lr: 10, steps: 200 }],
      ],
    },
    {
      title: "The range test",
      text: [
        "A real network does not tell its limit. So begin with a tiny rate and raise it a little at every step: the loss hardly " +
          "moves, falls fast, explodes. Take a tenth of the rate where it is lowest, for when the loss shows it, the rate has long been too large.",
      ],
      tries: [["range test", { lr: 0.233, steps: 200, look: "range" }]],
    },
    {
      title: "The bowl",
      text: [
        `The loss over w and b is a long narrow bowl. Across it curves by ${fixed(steep, 3)}, and that sets the limit: 2 / ` +
          `${fixed(steep, 3)} = ${limit}. Along it curves by ${fixed(flat, 3)} only, and that sets how many steps you need. ` +
          "Momentum lets you go faster: it carries speed along the valley.",
      ],
      tries: [
        ["0.77 creeps home", { lr: 0.77, steps: 1000 }],
        ["0.78 does not", { lr: 0.78, steps: 1000 }],
        ["momentum 0.8", { lr: 0.9, steps: 60, momentum: 0.8 }],
      ],
    },
    {
      title: "The exact answer",
      text: [
        `For a line there is a formula, least squares: ${equation("w", w)}, ${equation("b", b)}. At 0.5, 200 steps come to ` +
          `${equation("w", right.w[200]!)}, ${equation("b", right.b[200]!)}. A network has no such formula; it has to walk, and you choose how far each step goes.`,
      ],
      tries: [["0.5 for 200 steps", { lr: 0.5, steps: 200 }]],
    },
  ];
}
