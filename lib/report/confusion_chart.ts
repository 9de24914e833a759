// The confusion matrix as a chart: which labels are taken for which.
import { UserError } from "../errors.ts";
import { chart, type ChartOptions, type ChartSpec, COLORS, INK, sizeOf } from "./look.ts";

/** The column of answers in which no label was found. */
const NONE = "no label";

/**
 * A chart of a confusion matrix: expected labels down, predicted ones across, each cell with its count and the darker the
 * larger its share of the row. A column for answers without a label is there where such answers are.
 *
 * @param confusion confusion[expected][predicted], as `classificationScores` counts it
 * @param labels the labels in the same order
 * @throws {UserError} when the matrix is not one of these labels
 *
 * @example
 * ```ts
 * import { classificationScores, confusionChart, renderSVG } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const labels = ["negative", "positive"];
 * const { confusion } = classificationScores(["positive", "positive"], ["negative", "positive"], labels);
 * assert.match(await renderSVG(confusionChart(confusion, labels, { title: "Tuned" })), /Predicted/);
 * ```
 */
export function confusionChart(
  confusion: readonly (readonly number[])[],
  labels: readonly string[],
  options: ChartOptions = {},
): ChartSpec {
  const fits = confusion?.length === labels?.length && labels?.length > 0 &&
    confusion.every((row) => row.length === labels.length || row.length === labels.length + 1);
  if (!fits) {
    throw new UserError(
      "confusionChart needs a row for each label, with a count for each label in it: pass what classificationScores gives, with the same labels.",
    );
  }
  const unlabelled = confusion.some((row) => row[labels.length] > 0);
  const columns = unlabelled ? [...labels, NONE] : [...labels];
  const values = confusion.flatMap((row, i) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    return columns.map((predicted, j) => {
      const share = row[j] / Math.max(total, 1);
      const percent = total > 0 ? `${Math.round(100 * share)} %` : "";
      return { expected: labels[i], predicted, count: row[j], share, percent };
    });
  });
  const axis = { labelAngle: 0, labelFontSize: 13, domain: false, ticks: false, labelLimit: 140 };
  const x = { field: "predicted", type: "nominal", sort: columns, title: "Predicted", axis };
  const y = { field: "expected", type: "nominal", sort: [...labels], title: "Expected", axis };
  const color = {
    field: "share",
    type: "quantitative",
    scale: { domain: [0, 1], range: ["#f0f5fa", COLORS[0]] },
    legend: null,
  };
  const ink = { condition: { test: "datum.share > 0.5", value: "#ffffff" }, value: INK };
  const text = (field: string, mark: Record<string, unknown>) => ({
    mark: { type: "text", ...mark },
    encoding: { text: { field, type: field === "count" ? "quantitative" : "nominal" }, color: ink },
  });
  return chart("Confusion", options, {
    ...sizeOf({ width: 110 * columns.length, height: 70 * labels.length, ...options }),
    data: { values },
    encoding: { x, y },
    layer: [
      { mark: { type: "rect", stroke: "#ffffff", strokeWidth: 3, cornerRadius: 3 }, encoding: { color } },
      text("count", { dy: -7, fontSize: 16, fontWeight: 600 }),
      text("percent", { dy: 12, fontSize: 11 }),
    ],
  });
}
