/** What the server says of a log, as JSON. Numbers that are not finite come as null. */

type Value = number | null;

export interface LogCurve {
  steps: number[];
  losses: Value[];
  /** The level of noisy losses; null where the losses show as much. */
  smoothed: Value[] | null;
  lrs: Value[] | null;
  evaluated_at?: number[];
  evaluations?: Value[];
}

export interface Diagnosed {
  diagnosis: {
    outcome: string;
    advice: string[];
    lr: Value;
    suggested_lr: Value;
    evidence: Record<string, unknown>;
  };
  sentences: string[];
  notes?: string[];
  curve: LogCurve;
  runs: string[];
  run: string;
  losses: string[];
  loss: string;
}

/** What is asked of a log; what is null is left to the server. */
export interface Question {
  run: string | null;
  loss: string | null;
  lr: string | null;
}
