/** What a reader looks at in the studies, as the address has it. */

import type { Values } from "../kit/address";

export const TABS = ["map", "race", "range", "curves", "rates", "details"] as const;
export type Tab = (typeof TABS)[number];

export interface View {
  /** The study that is open; null for the list. */
  name: string | null;
  tab: Tab | null;
  /** The chosen rates. */
  lrs: number[];
  logLoss: boolean;
  logSteps: boolean;
  smooth: boolean;
  /** What the list is narrowed to. */
  filter: string;
}

export const MOST_CHOSEN = 12;

/** Read a view from an address; what makes no sense is left out. */
export function viewOf(values: URLSearchParams): View {
  const tab = values.get("tab");
  const lrs = (values.get("lr") ?? "").split(",").map(Number).filter((lr) => Number.isFinite(lr) && lr > 0);
  return {
    name: values.get("name") || null,
    tab: TABS.find((known) => known === tab) ?? null,
    lrs: [...new Set(lrs)].slice(0, MOST_CHOSEN),
    logLoss: values.get("loss") !== "linear",
    logSteps: values.get("steps") === "log",
    smooth: values.get("smooth") !== "no",
    filter: values.get("filter") ?? "",
  };
}

/** Write a view as an address has it. */
export function valuesOf(view: View): Values {
  if (view.name === null) return { filter: view.filter || null };
  return {
    name: view.name,
    tab: view.tab,
    lr: view.lrs.length > 0 ? view.lrs.map(rateText).join(",") : null,
    loss: view.logLoss ? null : "linear",
    steps: view.logSteps ? "log" : null,
    smooth: view.smooth ? null : "no",
  };
}

/** The rates of a study are told apart at a hundredth, so six digits are enough to name one. */
function rateText(lr: number): string {
  return String(Number(lr.toPrecision(6)));
}

const TOLERANCE = 0.01;

/** Return the rates of a study that were asked for, each as the study has it: within a hundredth, as the server takes it. */
export function ratesOf(asked: readonly number[], known: readonly number[]): number[] {
  const away = (one: number, other: number): number => Math.abs(Math.log(one / other));
  return asked.map((lr) => {
    const nearest = known.reduce((best, other) => (away(other, lr) < away(best, lr) ? other : best), Infinity);
    return away(nearest, lr) <= TOLERANCE ? nearest : lr;
  });
}

/** Return whether two rates are the same, as far as an address tells them apart. */
export function sameRate(one: number, other: number): boolean {
  return Math.abs(Math.log(one / other)) < 1e-4;
}
