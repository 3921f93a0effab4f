/** The curves of rates: asked for when the choice or the study has changed, and shown. */

import { element, setText } from "../../kit/element";
import { counted } from "../../kit/numbers";
import { curveChart } from "../curves/chart";
import type { RunCurve, StudyCurves, StudyDetail } from "../contract";
import { latest } from "../latest";
import { askCurves, sentence } from "../requests";
import { fileName, saveButton, savePicture, saveText } from "../save";
import type { View } from "../state";
import { csvOf } from "../table";

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

  const answers = latest<StudyCurves>(
    (answer) => {
      curves = answer.curves;
      setText(more, answer.left_out ? `${counted(answer.left_out, "more curve")} of these rates would be too many to show.` : "");
      tell(null);
      draw();
    },
    (error) => tell(sentence(error)),
  );

  function tell(problem: string | null): void {
    trouble.hidden = problem === null;
    setText(trouble, problem ?? "");
  }

  function draw(): void {
    if (shown === null) return;
    const { study, view } = shown;
    chart.show({ curves, chosen: view.lrs, logLoss: view.logLoss, logSteps: view.logSteps, smooth: view.smooth, alongRates: study.kind === "range_test" });
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
      const rates = view.lrs.join();
      const isNew = shown?.view.lrs.join() !== rates || asked === "";
      shown = { study, view };
      if (asked !== `${study.revision} ${rates}`) {
        asked = `${study.revision} ${rates}`;
        answers.load((signal) => askCurves(study.name, view.lrs, signal));
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
