// Charts as Vega-Lite specs: loss curves and scores. Plain objects; render.ts turns them into SVG and PNG.
import { UserError } from "../errors.ts";
import type { RougeScores } from "../metrics/rouge.ts";
import { chart, type ChartOptions, type ChartSpec, colorBy, INK, sizeOf } from "./look.ts";

/** One point of a loss curve. */
export interface LossPoint {
  /** Optimizer step, counted from 1 (0: before the first). */
  step: number;
  /** Mean cross-entropy in nats a token. */
  loss: number;
  /** The curve it belongs to: "training", "validation", or any other name. */
  series: string;
}

/** Curves of more points are drawn thin, with a moving mean over them. */
const DENSE = 60;
/** As plotRun has them: training is blue and validation orange, also where a loss from before the first step comes first. */
const FIRST = ["training", "validation"];

/**
 * A chart of loss against steps. Curves with more than 60 points are drawn thin, with their centred moving mean thick
 * on top (the subtitle says over how many points); curves with up to 20 points, as validation losses are, show each.
 * "training" and "validation" come first and have {@linkcode plotRun}'s colours; other curves follow as their points do.
 *
 * @param points in any order; see {@linkcode LossPoint}
 * @throws {UserError} when there is no point, or one is not a finite number
 *
 * @example
 * ```ts
 * import { lossChart, renderSVG } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const chart = lossChart([
 *   { step: 1, loss: 3.1, series: "training" },
 *   { step: 2, loss: 2.4, series: "training" },
 *   { step: 2, loss: 2.6, series: "validation" },
 * ], { title: "Loss" });
 * assert.match(await renderSVG(chart), /^<svg/);
 * ```
 */
export function lossChart(points: readonly LossPoint[], options: ChartOptions = {}): ChartSpec {
  if (points.length === 0) throw new UserError("lossChart needs at least one point, and got none.");
  for (const { step, loss, series } of points) {
    if (Number.isFinite(step) && Number.isFinite(loss)) continue;
    throw new UserError(
      `lossChart: the ${series} point at step ${step} has the loss ${loss}; drop it or mend it.`,
    );
  }
  const names = new Set(points.map((point) => point.series));
  const curves = [...new Set([...FIRST.filter((name) => names.has(name)), ...names])].map((series) =>
    points.filter((point) => point.series === series).sort((a, b) => a.step - b.step)
  );
  const dense = curves.filter((curve) => curve.length > DENSE);
  const span = dense.length > 0 ? meanSpan(Math.max(...dense.map((curve) => curve.length))) : 1;
  const lines = curves.flatMap((curve) => curve.length > DENSE ? movingMean(curve, span) : curve);
  const dots = curves.filter((curve) => curve.length <= 20).flat();
  const note = dense.length > 0 ? `thick line: mean of ${span} steps` : undefined;
  const subtitle = [options.subtitle, note].filter(Boolean).join("; ");
  const x = {
    field: "step",
    type: "quantitative",
    title: "Step",
    scale: { nice: false },
    axis: { tickMinStep: 1, tickCount: 8, grid: false },
  };
  const y = {
    field: "loss",
    type: "quantitative",
    title: "Loss (nats per token)",
    scale: { zero: false, nice: true },
    axis: { tickCount: 6 },
  };
  const color = colorBy("series", curves.map((curve) => curve[0].series), "stroke");
  const layer = (values: readonly LossPoint[], mark: Record<string, unknown>) => ({
    data: { values },
    mark,
    encoding: { x, y, color },
  });
  return chart("Loss", { ...options, subtitle }, {
    ...sizeOf(options),
    layer: [
      ...(dense.length > 0 ? [layer(dense.flat(), { type: "line", strokeWidth: 1, opacity: 0.3 })] : []),
      layer(lines, { type: "line", strokeWidth: 2.5, strokeJoin: "round", strokeCap: "round" }),
      ...(dots.length > 0 ? [layer(dots, { type: "point", filled: true, size: 50, opacity: 1 })] : []),
    ],
  });
}

/**
 * A chart of scores side by side, such as a base and a tuned model's ROUGE. Each score is a number between 0 and 1 or an
 * object with `fmeasure`, as `rougeScore` gives it; the names rouge1, rougeLsum ... are written ROUGE-1, ROUGE-Lsum ...
 *
 * @param runs the scores of each run by name; every run has the same scores
 * @throws {UserError} when a run lacks a score that another has, or a score is not a finite number
 *
 * @example
 * ```ts
 * import { renderSVG, scoreChart } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const chart = scoreChart({ base: { rouge1: 0.175, rouge2: 0.016 }, tuned: { rouge1: 0.197, rouge2: 0.029 } });
 * assert.match(await renderSVG(chart), /ROUGE-1/);
 * ```
 */
export function scoreChart(
  runs: Record<string, { [score: string]: number | { fmeasure: number } } | RougeScores>,
  options: ChartOptions = {},
): ChartSpec {
  const names = Object.keys(runs);
  const kinds = [...new Set(names.flatMap((run) => Object.keys(runs[run])))];
  if (kinds.length === 0) throw new UserError("scoreChart needs at least one score, and got none.");
  const values = names.flatMap((run) =>
    kinds.map((kind) => {
      const entry = (runs[run] as Record<string, number | { fmeasure: number }>)[kind];
      const score = typeof entry === "object" ? entry.fmeasure : entry;
      if (Number.isFinite(score)) return { run, kind: kind.replace(/^rouge(?=[0-9L])/, "ROUGE-"), score };
      throw new UserError(
        `scoreChart: ${kind} of ${run} is ${score}; each run needs a number for each score.`,
      );
    })
  );
  const x = {
    field: "kind",
    type: "nominal",
    title: null,
    sort: null,
    axis: { labelAngle: 0, labelFontSize: 13 },
  };
  const xOffset = { field: "run", sort: names, scale: { paddingInner: 0.08 } };
  const y = {
    field: "score",
    type: "quantitative",
    title: "Score (F)",
    axis: { format: ".2f", tickCount: 5 },
  };
  const color = colorBy("run", names, "square");
  const bar = { type: "bar", cornerRadiusEnd: 2 };
  const label = { type: "text", dy: -8, fontSize: 12, color: INK };
  const text = { field: "score", format: ".3f" };
  return chart("Scores", options, {
    ...sizeOf(options),
    data: { values },
    encoding: { x, y, xOffset },
    layer: [{ mark: bar, encoding: { color } }, { mark: label, encoding: { text } }],
  });
}

/** About a thirtieth of the curve, odd so that the mean has a middle. */
function meanSpan(points: number): number {
  return 2 * Math.max(2, Math.round(points / 60)) + 1;
}

/** The centred mean of `span` points; at the ends, of those that are there. */
function movingMean(curve: readonly LossPoint[], span: number): LossPoint[] {
  return curve.map((point, i) => {
    const reach = (span - 1) / 2;
    const around = curve.slice(Math.max(0, i - reach), i + reach + 1);
    return { ...point, loss: around.reduce((sum, { loss }) => sum + loss, 0) / around.length };
  });
}
