// An evaluation's scores as bars with their intervals.
import { UserError } from "../errors.ts";
import { chart, type ChartOptions, type ChartSpec, colorBy, INK } from "../report/look.ts";
import type { Evaluated } from "./evaluation.ts";

/**
 * Draws the scores of each model as bars, in percent of the largest possible value, with whiskers for the intervals. Losses
 * are left out: they have no largest value.
 *
 * @param evaluated what {@linkcode evaluate} gave
 * @throws {UserError} where nothing is left to draw
 *
 * @example
 * ```ts
 * import { evaluationChart, renderSVG } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const values = { base: { value: 0.2, low: 0.1, high: 0.3 }, tuned: { value: 0.5, low: 0.4, high: 0.6 } };
 * const chart = evaluationChart({
 *   models: ["base", "tuned"],
 *   rows: 50,
 *   confidence: 0.95,
 *   measures: [{ name: "ROUGE-L", max: 1, lowerIsBetter: false, values, changes: {} }],
 * });
 * assert.match(await renderSVG(chart), />ROUGE-L</);
 * ```
 */
export function evaluationChart(
  { models, rows, confidence, measures }: Pick<Evaluated, "models" | "rows" | "confidence" | "measures">,
  options: ChartOptions = {},
): ChartSpec {
  const drawn = measures.filter(({ lowerIsBetter }) => !lowerIsBetter);
  if (drawn.length === 0) throw new UserError("evaluationChart needs at least one score that is no loss.");
  const values = drawn.flatMap(({ name, max, values }) =>
    models.map((model) => {
      const { value, low, high } = values[model];
      const percent = (number: number) => 100 * number / max;
      return { name, model, value: percent(value), low: percent(low), high: percent(high) };
    })
  );
  const { width = 560 } = options, height = options.height ?? drawn.length * (14 + 18 * models.length);
  const y = {
    field: "name",
    type: "nominal",
    title: null,
    sort: null,
    axis: { labelFontSize: 13, labelColor: INK, labelLimit: 140 },
    scale: { paddingInner: 0.3 },
  };
  const yOffset = { field: "model", sort: models };
  const axis = { tickCount: 5, grid: true };
  const x = {
    type: "quantitative",
    title: "% of the best possible",
    stack: null,
    scale: { zero: true },
    axis,
  };
  const percent = Math.round(1000 * confidence) / 10;
  const subtitle = options.subtitle ??
    `${rows.toLocaleString("en-US")} rows; whiskers: ${percent} % intervals`;
  return chart("Scores", { ...options, subtitle }, {
    width,
    height,
    data: { values },
    encoding: { y, yOffset },
    layer: [
      {
        mark: { type: "bar", cornerRadiusEnd: 2 },
        encoding: { x: { ...x, field: "value" }, color: colorBy("model", models, "square") },
      },
      {
        mark: { type: "rule", color: INK, strokeWidth: 1.5 },
        encoding: { x: { ...x, field: "low" }, x2: { field: "high" } },
      },
    ],
  });
}
