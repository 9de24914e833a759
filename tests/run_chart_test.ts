// plotRun: which curves are drawn, TensorBoard's smoothing, thinning that keeps spikes, resumes and numbers not finite.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { UserError } from "../lib/errors.ts";
import { renderPNG, renderSVG } from "../lib/report/render.ts";
import { plotRun } from "../lib/report/run_chart.ts";
import { type LogEntry, openRunLog } from "../lib/report/run_log.ts";

type Layer = {
  data: { values: { step: number; value: number | null; series: string }[] };
  mark: { type: string };
};
type Panel = { layer: Layer[] };

const steps = (count: number, loss: (step: number) => number, more: Partial<LogEntry> = {}): LogEntry[] =>
  Array.from(
    { length: count },
    (_, i) => ({ kind: "step", step: i + 1, time: i, loss: loss(i + 1), ...more }),
  );

/** All panels, the large one first. */
function panelsOf(chart: Record<string, unknown>): Panel[] {
  const [first, ...rows] = chart.vconcat as (Panel & { hconcat: Panel[] })[];
  return [first, ...rows.flatMap(({ hconcat }) => hconcat)];
}
const values = (layer: Layer) => layer.data.values.map(({ value }) => value);
const named = (message: RegExp) => (error: Error) =>
  error instanceof UserError && message.test(error.message);

Deno.test("a log file becomes a picture with what the log has", async () => {
  const path = join(await Deno.makeTempDir(), "log.jsonl");
  const log = await openRunLog(path);
  const more = { gradNorm: 1, learningRate: 2e-4, tokensPerSecond: 170, memory: 1.5e9 };
  steps(3, (step) => 3 / step, more).forEach(log.write);
  log.write({ kind: "evaluation", step: 3, time: 4, loss: 1.25 });
  log.close();
  const chart = await plotRun(path, { title: "A run", subtitle: "tiny" });
  const svg = await renderSVG(chart);
  for (
    const text of [
      ...["A run", "tiny", "training", "validation", "Loss (nats per token)", "Learning rate"],
      ...["Gradient norm", "Tokens per second", "Memory (GB)", "Step"],
    ]
  ) {
    assert.ok(svg.includes(`>${text}</text>`), text);
  }
  assert.deepEqual(panelsOf(chart).map(({ layer }) => layer[0].data.values.length), [4, 3, 3, 3, 3]);
  assert.equal(panelsOf(chart)[4].layer[0].data.values[0].value, 1.5);
  assert.equal((await renderPNG(chart, { scale: 1 }))[1], 0x50);
  await Deno.remove(path);
});

Deno.test("smoothing is TensorBoard's: debiased, and numbers that are not finite are left out of it", async () => {
  const losses = Array.from({ length: 61 }, (_, i) => i === 2 ? NaN : i % 2 === 0 ? 1 : 4);
  const chart = await plotRun(steps(61, (step) => losses[step - 1]), { smoothing: 0.6 });
  const [thin, thick, broken] = panelsOf(chart)[0].layer;
  assert.deepEqual(values(thin).slice(0, 4), [1, 4, null, 4]);
  const [first, second, third, fourth] = values(thick);
  // 0.6 * 0.4 * 1 + 0.4 * 4 over 1 - 0.6^2, and so on.
  assert.equal(first, 1);
  assert.ok(Math.abs(second! - (0.24 + 1.6) / 0.64) < 1e-12);
  assert.equal(third, null);
  assert.ok(Math.abs(fourth! - (0.6 * 1.84 + 1.6) / 0.784) < 1e-12);
  assert.deepEqual(broken.data.values.map(({ step }) => step), [3]);
  assert.match(JSON.stringify(chart.title), /smoothed by 0\.6; red: not finite/);
  const short = panelsOf(await plotRun(steps(60, (step) => step)))[0].layer;
  assert.deepEqual(values(short[0]), Array.from({ length: 60 }, (_, i) => i + 1));
});

Deno.test("5,000 steps are thinned, and their one spike stays", async () => {
  const chart = await plotRun(steps(5000, (step) => step === 2345 ? 50 : step % 7, { memory: 1e9 }));
  const [loss, memory] = panelsOf(chart);
  const [thin, thick] = loss.layer;
  assert.ok(thin.data.values.length <= 600 && thick.data.values.length <= 600);
  assert.equal(Math.max(...values(thin) as number[]), 50);
  assert.ok(values(thick).slice(50).every((value) => Math.abs(value! - 3) < 1));
  const inOrder = thin.data.values.every(({ step }, i, all) => i === 0 || step > all[i - 1].step);
  assert.ok(inOrder);
  assert.equal(memory.layer.length, 1, "memory has no noise to smooth");
});

Deno.test("resumes are marked in every panel; a step written twice counts once", async () => {
  const log: LogEntry[] = [
    ...steps(8, () => 2, { gradNorm: 1 }),
    { kind: "resume", step: 6, time: 9 },
    { kind: "step", step: 7, time: 10, loss: 5, gradNorm: 1 },
  ];
  const chart = await plotRun(log);
  for (const { layer } of panelsOf(chart)) {
    assert.equal(layer[0].mark.type, "rule");
    assert.deepEqual(layer[0].data.values, [{ step: 6 }]);
    assert.equal(layer[1].data.values.length, 8);
  }
  assert.equal(values(panelsOf(chart)[0].layer[1])[6], 5);
  assert.match(JSON.stringify(chart.title), /dashed: resumed/);
});

Deno.test("in a notebook a run shows as Vega-Lite and as SVG; an empty log is named", async () => {
  const chart = await plotRun(steps(1, () => 2));
  const show =
    (chart as Record<symbol, () => Promise<Record<string, unknown>>>)[Symbol.for("Jupyter.display")];
  const forms = await show();
  assert.equal(forms["application/vnd.vegalite.v5+json"], chart);
  assert.match(forms["image/svg+xml"] as string, /^<svg/);
  await assert.rejects(plotRun([]), named(/no step yet/));
  await assert.rejects(plotRun([{ kind: "start", step: 0, time: 0 }]), named(/no step yet/));
  await assert.rejects(plotRun(steps(1, () => 1), { smoothing: 1 }), named(/smoothing is 1/));
  await assert.rejects(plotRun("none.jsonl"), named(/none\.jsonl does not exist/));
});
