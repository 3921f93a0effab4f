/** The curves of rates: asked for when the choice or the study has changed, and shown. */

import { sentence } from "../../kit/asking";
import { element, setText } from "../../kit/element";
import { latest } from "../../kit/latest";
import { counted } from "../../kit/numbers";
import { fileName, saveButton, savePicture, saveText } from "../../kit/save";
import { csvOf } from "../../kit/table";
import type { RunCurve, StudyCurves, StudyDetail } from "../contract";
import { curveChart } from "../curves/chart";
import { askCurves } from "../requests";
import { sameRate, type View } from "../state";

export interface RunCurves {
  readonly element: HTMLElement;
  show(study: StudyDetail, view: View): void;
  stop(): void;
}

/** Make a box for curves. */
export function runCurves(): RunCurves {
  const chart = curveChart();
  const trouble = element("p", { class: "trouble", role: "alert", hidden: true });
  const more = element("p", { class: "hint" });
  let asked = "";
  let curves: RunCurve[] = [];
  let shown: { study: StudyDetail; view: View } | null = null;

  const answers = latest<StudyCurves>(show, (error) => tell(sentence(error)));

  function show(answer: StudyCurves): void {
    curves = answer.curves;
    setText(more, answer.left_out ? `${counted(answer.left_out, "more curve")} of these rates would be too many to show.` : "");
    tell(null);
    draw();
  }

  function tell(problem: string | null): void {
    trouble.hidden = problem === null;
    setText(trouble, problem ?? "");
  }

  function draw(): void {
    if (shown === null) return;
    const { view } = shown;
    chart.show({ curves, chosen: view.lrs, logLoss: view.logLoss, logSteps: view.logSteps, smooth: view.smooth });
  }

  const named = (what: string, ending: string): string => fileName(shown?.study.name ?? "", what, ending);
  const saves = element(
    "div",
    { class: "saves" },
    saveButton("Save picture (PNG)", () => savePicture(chart.picture(shown?.study.name ?? ""), named("curves", "png"))),
    saveButton("Save these curves (CSV)", () => saveText(curvesTable(curves), named("curves", "csv"))),
  );
  return {
    element: element("div", {}, trouble, chart.element, more, saves),
    show(study, view) {
      // A link may name a rate that has no run yet; the server is asked for it when it has.
      const there = view.lrs.filter((lr) => study.rates.some((rate) => sameRate(rate.lr, lr)));
      const rates = `${there.join()} of ${view.lrs.join()}`;
      const isNew = shown?.view.lrs.join() !== view.lrs.join() || asked === "";
      shown = { study, view };
      if (asked !== `${study.revision} ${rates}`) {
        asked = `${study.revision} ${rates}`;
        if (there.length === 0 && view.lrs.length > 0) show({ curves: [] });
        else answers.load((signal) => askCurves(study.name, there, signal));
      }
      if (!isNew) draw();
    },
    stop() {
      answers.stop();
      chart.stop();
    },
  };
}

/** Return the positions that the chart shows as CSV. */
function curvesTable(curves: readonly RunCurve[]): string {
  const rows = curves.flatMap((curve) => {
    const evaluations = new Map(curve.evaluated_at.map((step, index) => [step, curve.evaluations[index] ?? null]));
    const losses = new Map(curve.steps.map((step, index) => [step, index]));
    const steps = [...new Set([...losses.keys(), ...evaluations.keys()])].sort((one, other) => one - other);
    return steps.map((step) => {
      const index = losses.get(step) ?? -1;
      return [curve.lr, curve.seed, step, curve.lrs[index] ?? null, curve.losses[index] ?? null, evaluations.get(step) ?? null];
    });
  });
  return csvOf(["peak_lr", "seed", "step", "lr", "loss", "evaluation"], rows);
}
