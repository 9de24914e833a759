// The funnel of a curation: what every step left, and what went.

import { UserError } from "../errors.ts";
import { chart, type ChartOptions, type ChartSpec, COLORS, INK, sizeOf } from "./look.ts";

/** One bar of {@linkcode funnelChart}; a curation's stages are such. */
export interface FunnelStage {
  /** What the step is called. */
  step: string;
  /** Rows before it. */
  before: number;
  /** Rows after it. */
  after: number;
}

/**
 * A chart of what the steps of a curation left: a bar for the rows at the start and one for those after each step, labelled
 * with their number and share of the start; what went at a step is drawn grey.
 *
 * @param stages in order, such as `curate(...).stages`
 * @throws {UserError} when there is none, or a number is negative or grows from `before` to `after`
 *
 * @example
 * ```ts
 * import { funnelChart, renderSVG } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const chart = funnelChart([{ step: "scores", before: 250000, after: 137812 }], { title: "Reddit" });
 * assert.match(await renderSVG(chart), /137,812/);
 * ```
 */
export function funnelChart(stages: readonly FunnelStage[], options: ChartOptions = {}): ChartSpec {
  if (stages.length === 0) throw new UserError("funnelChart needs at least one stage, and got none.");
  for (const { step, before, after } of stages) {
    if (after >= 0 && before >= after && Number.isFinite(before)) continue;
    throw new UserError(`funnelChart: ${step} goes from ${before} to ${after} rows; a funnel never widens.`);
  }
  const start = stages[0].before;
  const bars = [{ step: "all rows", before: start, after: start }, ...stages];
  const values = bars.flatMap(({ step, before, after }, place) => [
    { place, step, part: "stayed", from: 0, to: after },
    { place, step, part: "went", from: after, to: before },
  ]);
  const labels = bars.map(({ before, after }, place) => ({
    place,
    before,
    label: `${after.toLocaleString("en-US")}  (${start === 0 ? 0 : shareOf(after / start)} %)`,
  }));
  const names = JSON.stringify(bars.map(({ step }) => step));
  const y = {
    field: "place",
    type: "ordinal",
    title: null,
    axis: { labelExpr: `${names}[datum.value]`, labelLimit: 320, ticks: false, domain: false, grid: false },
  };
  const x = {
    field: "to",
    type: "quantitative",
    title: "Rows",
    stack: null,
    scale: { domain: [0, Math.max(1, start) * 1.12], nice: false },
    axis: { tickCount: 5, grid: false },
  };
  const color = {
    field: "part",
    type: "nominal",
    title: null,
    scale: { domain: ["stayed", "went"], range: [COLORS[0], "#cbd5e0"] },
    legend: { symbolType: "square", symbolSize: 140 },
  };
  const from = { ...x, field: "from" };
  return chart("Curation", options, {
    ...sizeOf({ ...options, height: options.height ?? 30 * bars.length + 20 }),
    layer: [
      {
        data: { values },
        mark: { type: "bar", cornerRadiusEnd: 2 },
        encoding: { x: from, x2: { field: "to" }, y, color },
      },
      {
        data: { values: labels },
        mark: { type: "text", align: "left", dx: 6, fontSize: 12, color: INK },
        encoding: { x: { ...x, field: "before" }, y, text: { field: "label" } },
      },
    ],
  });
}

const shareOf = (share: number): string => (100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0);
