// The scores of a sweep's runs: a panel for each score, a bar for each run.
import { UserError } from "../errors.ts";
import { chart, type ChartOptions, type ChartSpec, COLORS, INK } from "./look.ts";

/**
 * A chart of runs that differ in their settings: one panel a score, since scores have scales of their own, one bar a run, in
 * the order given.
 *
 * @param runs each with its name and the same scores
 * @throws UserError when there is no run or no score, or a run lacks a score that another has
 *
 * @example
 * ```ts
 * import { renderSVG, sweepChart } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const chart = sweepChart([
 *   { name: "r 8", scores: { loss: 2.1, rougeL: 0.31 } },
 *   { name: "r 16", scores: { loss: 2.0, rougeL: 0.33 } },
 * ]);
 * assert.match(await renderSVG(chart), /r 16/);
 * ```
 */
export function sweepChart(
  runs: readonly { readonly name: string; readonly scores: Readonly<Record<string, number>> }[],
  options: ChartOptions = {},
): ChartSpec {
  const scores = [...new Set(runs.flatMap(({ scores }) => Object.keys(scores)))];
  if (scores.length === 0) {
    throw new UserError("sweepChart needs at least one run with a score, and got none.");
  }
  for (const { name, scores: own } of runs) {
    const missing = scores.find((score) => !Number.isFinite(own[score]));
    if (missing) throw new UserError(`sweepChart: the run ${name} has no number for ${missing}.`);
  }
  const { width = 560, height = 34 * runs.length } = options;
  const panel = (score: string, i: number) => ({
    width: Math.round(width / scores.length),
    height,
    data: { values: runs.map(({ name, scores }) => ({ name, value: scores[score] })) },
    encoding: {
      // The names stand once, at the left.
      y: {
        field: "name",
        type: "nominal",
        sort: null,
        title: null,
        axis: i === 0 ? { labelLimit: 320 } : null,
      },
      x: { field: "value", type: "quantitative", title: score, axis: { tickCount: 4 } },
    },
    layer: [
      { mark: { type: "bar", cornerRadiusEnd: 2, color: COLORS[i % COLORS.length] } },
      {
        mark: { type: "text", align: "left", dx: 4, fontSize: 12, color: INK },
        encoding: { text: { field: "value", format: ".3~f" } },
      },
    ],
  });
  return chart("Sweep", options, { hconcat: scores.map(panel), spacing: 48 });
}
