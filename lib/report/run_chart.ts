// A run's log as one picture: loss, and under it what explains it.
import { UserError } from "../errors.ts";
import { chart, type ChartOptions, type ChartSpec, colorBy, COLORS, GREY, RED } from "./look.ts";
import { type LogEntry, readRunLog } from "./run_log.ts";

/** Options of {@linkcode plotRun}. */
export interface RunChartOptions extends ChartOptions {
  /**
   * Weight of the past in the thick line, as TensorBoard's slider: 0 (none) to below 1. Default: 0 up to 60 steps, then 0.6
   * and more the longer the run is, so that the line follows about a thirtieth of it.
   */
  smoothing?: number;
  /** Small pictures beside one another: 1, in full width, or 2. Default: 2. */
  columns?: 1 | 2;
}

/** A point of a curve; null where the number was not finite. */
interface Point {
  step: number;
  value: number | null;
  series: string;
}

interface Panel {
  title: string;
  curves: Point[][];
  /** What the axis writes; d3's formats. */
  format?: string;
  /** Drawn as it is: smoothing would bend what has no noise. */
  exact?: boolean;
}

/** Curves of more points are thinned: the least and the greatest of each stretch stay, so that no spike is lost. */
const MOST_POINTS = 600;
const FEW_STEPS = 60;

/**
 * Draws the log of a run: loss of training and validation, and as small pictures learning rate, gradient norm, tokens a second
 * and memory, as far as the log has them. Dashed lines mark where the run was resumed, red ticks steps whose number was not
 * finite. Curves of more than 60 steps are drawn thin under TensorBoard's smoothed one (an exponential mean, corrected for its
 * beginning).
 *
 * @param log path of the file that `openRunLog` wrote (also of a run that still goes on), or its entries
 * @returns a Vega-Lite specification, which `saveChart` writes as .svg, .png or .json; in Jupyter it shows as a picture
 * @throws UserError when the log has no step yet, or is no log
 *
 * @example
 * ```ts
 * import { openRunLog, plotRun, renderSVG } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const path = await Deno.makeTempDir() + "/log.jsonl";
 * const log = await openRunLog(path);
 * for (let step = 1; step <= 3; step++) log.write({ kind: "step", step, time: step, loss: 3 / step, learningRate: 1e-3 });
 * log.close();
 * assert.match(await renderSVG(await plotRun(path)), />Learning rate</);
 * ```
 */
export async function plotRun(
  log: string | readonly LogEntry[],
  options: RunChartOptions = {},
): Promise<ChartSpec> {
  const entries = typeof log === "string" ? await readRunLog(log) : log;
  const { width = 560, height = 320, smoothing, columns = 2 } = options;
  if (smoothing !== undefined && !(smoothing >= 0 && smoothing < 1)) {
    throw new UserError(`smoothing is ${smoothing}; it must be at least 0 and below 1.`);
  }
  const curve = (kind: LogEntry["kind"], field: string, series: string = field, unit = 1) =>
    pointsOf(entries, kind, field, series, unit);
  const loss = [curve("step", "loss", "training"), curve("evaluation", "loss", "validation")];
  const further: Panel[] = [
    { title: "Learning rate", curves: [curve("step", "learningRate")], format: ".1~e", exact: true },
    { title: "Gradient norm", curves: [curve("step", "gradNorm")] },
    { title: "Tokens per second", curves: [curve("step", "tokensPerSecond")], format: "~s" },
    { title: "Memory (GB)", curves: [curve("step", "memory", "memory", 1e9)], exact: true },
  ];
  const panels = [{ title: "Loss (nats per token)", curves: loss }, ...further].map((panel) => ({
    ...panel,
    curves: panel.curves.filter((points) => points.length > 0),
  })).filter(({ curves }) => curves.length > 0);
  if (panels.length === 0) {
    throw new UserError(
      `${typeof log === "string" ? log : "The log"} has no step yet: there is nothing to draw.`,
    );
  }
  const steps = Math.max(...panels.flatMap(({ curves }) => curves.map((points) => points.length)));
  const weight = smoothing ?? (steps > FEW_STEPS ? Math.max(0.6, 1 - 30 / steps) : 0);
  const resumes = entries.filter(({ kind }) => kind === "resume").map(({ step }) => ({ step }));
  const draw = (panel: Panel, size: { width: number; height: number }) => ({
    ...size,
    layer: layersOf(panel, { weight, resumes, domain: domainOf(panels) }),
  });
  const [first, ...others] = panels;
  const small = { width: columns === 1 ? width : (width - 90) / 2, height: height * 0.4 };
  const rows = others.flatMap((_, i) => i % columns === 0 ? [others.slice(i, i + columns)] : []);
  const notes = [
    options.subtitle,
    weight > 0 ? `thick: smoothed by ${Number(weight.toFixed(3))}` : "",
    resumes.length > 0 ? "dashed: resumed" : "",
    panels.some(({ curves }) => curves.flat().some(({ value }) => value === null)) ? "red: not finite" : "",
  ];
  return chart("Run", { ...options, subtitle: notes.filter(Boolean).join("; ") }, {
    vconcat: [
      draw(first, { width, height }),
      ...rows.map((row) => ({ hconcat: row.map((panel) => draw(panel, small)) })),
    ],
    spacing: 28,
    resolve: { legend: { color: "independent" } },
  });
}

/** One curve in the order of its steps; a step that is there twice counts as it was last. */
function pointsOf(
  entries: readonly LogEntry[],
  kind: LogEntry["kind"],
  field: string,
  series: string,
  unit: number,
): Point[] {
  const points = new Map<number, Point>();
  for (const { kind: is, step, [field]: value } of entries) {
    if (is !== kind || typeof value !== "number") continue;
    points.set(step, { step, value: Number.isFinite(value) ? value / unit : null, series });
  }
  return [...points.values()].sort((a, b) => a.step - b.step);
}

/** All panels have the same steps under one another. */
function domainOf(panels: Panel[]): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const { step } of panels.flatMap(({ curves }) => curves.flat())) {
    low = Math.min(low, step);
    high = Math.max(high, step);
  }
  return high > low ? [low, high] : [low - 1, high + 1];
}

interface Drawing {
  weight: number;
  resumes: { step: number }[];
  domain: [number, number];
}

function layersOf({ title, curves, format, exact }: Panel, { weight, resumes, domain }: Drawing): unknown[] {
  const x = {
    field: "step",
    type: "quantitative",
    title: "Step",
    scale: { domain, nice: false },
    axis: { tickMinStep: 1, tickCount: 5, grid: false, format: "~s", titlePadding: 4 },
  };
  const axis = { tickCount: 4, ...(format ? { format } : {}) };
  const y = { field: "value", type: "quantitative", title, scale: { zero: false, nice: true }, axis };
  const color = curves.length > 1
    ? colorBy("series", curves.map(([{ series }]) => series), "stroke")
    : { value: COLORS[0] };
  const layer = (values: unknown[], mark: Record<string, unknown>) =>
    values.length > 0 ? [{ data: { values }, mark, encoding: { x, y, color } }] : [];
  const line = (strokeWidth: number, opacity = 1) => ({
    type: "line",
    strokeWidth,
    opacity,
    strokeJoin: "round",
    invalid: "break-paths-show-domains",
  });
  const dense = weight > 0 && !exact ? curves.filter((points) => points.length > FEW_STEPS) : [];
  const thick = curves.map((points) => thinned(dense.includes(points) ? smoothed(points, weight) : points));
  const few = curves.filter((points) => points.length <= 20).flat();
  const broken = curves.flat().filter(({ value }) => value === null).map(({ step }) => ({ step }));
  return [
    ...(resumes.length > 0
      ? [{
        data: { values: resumes },
        mark: { type: "rule", stroke: GREY, strokeDash: [4, 3] },
        encoding: { x },
      }]
      : []),
    ...layer(dense.flatMap(thinned), line(1, 0.3)),
    ...layer(thick.flat(), line(2)),
    ...layer(few.filter(({ value }) => value !== null), {
      type: "point",
      filled: true,
      size: 40,
      opacity: 1,
    }),
    ...(broken.length > 0
      ? [{
        data: { values: broken },
        mark: { type: "tick", orient: "vertical", size: 10, thickness: 2, color: RED, yOffset: -6 },
        encoding: { x, y: { value: "height" } },
      }]
      : []),
  ];
}

/** TensorBoard's: each mean is divided by the share of it that is not the missing past. Numbers not finite leave it alone. */
function smoothed(points: readonly Point[], weight: number): Point[] {
  let mean = 0, share = 0;
  return points.map((point) => {
    if (point.value === null) return point;
    mean = weight * mean + (1 - weight) * point.value;
    share = weight * share + (1 - weight);
    return { ...point, value: mean / share };
  });
}

function thinned(points: readonly Point[]): Point[] {
  if (points.length <= MOST_POINTS) return [...points];
  const size = Math.ceil(points.length / (MOST_POINTS / 2));
  const kept: Point[] = [];
  for (let start = 0; start < points.length; start += size) {
    const stretch = points.slice(start, start + size).filter(({ value }) => value !== null);
    if (stretch.length === 0) {
      kept.push(points[start]);
      continue;
    }
    const least = stretch.reduce((a, b) => b.value! < a.value! ? b : a);
    const most = stretch.reduce((a, b) => b.value! > a.value! ? b : a);
    kept.push(...[...new Set([least, most])].sort((a, b) => a.step - b.step));
  }
  return kept;
}
