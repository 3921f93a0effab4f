/** What the server says of studies, as JSON. Numbers that are not finite come as null. */

import type { Outcome } from "../kit/outcomes";

export type State = "running" | "finished" | "stopped";

/** A study in a line. `planned` is null where nobody knows beforehand how many curves there will be. */
export interface StudyEntry {
  name: string;
  kind: string;
  target: string | null;
  created: string;
  state: State;
  curves: number;
  planned: number | null;
}

export interface StudyList {
  store: string | null;
  /** The store that there is none of yet. */
  awaited: string | null;
  studies: StudyEntry[];
}

export interface Cost {
  steps: number;
  evaluations: number;
  seconds: number | null;
  products: number;
  step_equivalents?: number;
}

export interface Rate {
  lr: number;
  runs: number;
  steps: number;
  last_loss: number | null;
  outcome: string | null;
}

/** A study with everything but its curves. `revision` changes when something was added. */
export interface StudyDetail extends StudyEntry {
  inputs: Record<string, unknown>;
  versions: Record<string, string>;
  revision: string;
  sentences: string[];
  cost: Cost | null;
  recommendation: Recommendation | null;
  /** The rate that it recommends, or that is the best so far. */
  best: number | null;
  /** How many of a search's runs were none of its probes, where it is finished. */
  test_runs?: number;
  rates: Rate[];
}

export interface Estimate {
  value: number | null;
  low: number | null;
  high: number | null;
}

export interface Probe {
  lr: number;
  steps: number;
  score: number | null;
  outcome: Outcome;
}

export interface FrontierLine {
  steps: number;
  lr: number;
  loss: number | null;
  gain: number | null;
}

export interface Recommendation {
  lr: number | null;
  low: number | null;
  high: number | null;
  schedule: string;
  steps: number | null;
  predicted_loss: Estimate | null;
  max_stable_lr: number | null;
  reasons: string[];
  cost: Cost;
  probes: Probe[];
  target_loss: number | null;
  steps_needed: Estimate | null;
  frontier: FrontierLine[];
  start: number | null;
  loss: string;
  budget: number;
  notes: string[];
}

/** The best rate for a budget of steps; `low` and `high` are null with a single seed. */
export interface Best {
  steps: number;
  lr: number;
  low: number | null;
  high: number | null;
  loss: number | null;
}

/** The learning-rate x steps map; rows go with the rates, columns with the checkpoints. */
export interface StudyMap {
  lrs: number[];
  checkpoints: number[];
  losses: (number | null)[][];
  outcomes: (Outcome | null)[][];
  seeds: number;
  best: (Best | null)[];
  /** The rate from which on every run diverges, or null. */
  max_stable_lr: number | null;
  /** The loss before the first step, where the server tells it. */
  start?: number | null;
  watched?: string;
  /** False while some outcomes are still to be judged: they are null, and come when asked for again. */
  judged?: boolean;
}

/** What a rule reads off a range test, or why it reads nothing off it. */
export interface Suggestion {
  rule: string;
  lr: number | null;
  low: number | null;
  high: number | null;
  reason: string;
  /** Whether it is the rule that was asked for. */
  chosen: boolean;
  /** The smoothed loss at the rate. */
  level: number | null;
}

export interface RateLine {
  lrs: number[];
  losses: (number | null)[];
}

/** A range test as far as its repeats are done. */
export interface StudyRangeTest {
  watched: "training" | "evaluation";
  repeats: (RateLine & { seed: number })[];
  smoothed: RateLine;
  /** The heights between which to look. */
  low: number;
  high: number;
  suggestions: Suggestion[];
  stopped: "completed" | "diverged" | "non_finite";
  stopped_at: number;
}

export interface RunCurve {
  lr: number;
  seed: number;
  steps: number[];
  lrs: (number | null)[];
  losses: (number | null)[];
  /** The level of noisy losses; null where the losses show as much. */
  smoothed: (number | null)[] | null;
  evaluated_at: number[];
  evaluations: (number | null)[];
  outcome: string | null;
  stopped: string;
}

export interface StudyCurves {
  curves: RunCurve[];
  /** How many curves there are besides, because they were too many to send. */
  left_out?: number;
}
