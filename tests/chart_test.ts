// Charts: what is drawn in the SVG, and that text is in the PNG where no font is installed (the renderer sees none).
import assert from "node:assert/strict";
import { UserError } from "../lib/errors.ts";
import { lossChart, type LossPoint, scoreChart } from "../lib/report/chart.ts";
import { renderPNG, renderSVG, saveChart } from "../lib/report/render.ts";
import { plotRun } from "../lib/report/run_chart.ts";

const curve = (series: string, count: number, loss: (step: number) => number): LossPoint[] =>
  Array.from({ length: count }, (_, i) => ({ step: i + 1, loss: loss(i + 1), series }));

/** The data of the layers of a loss chart. */
function layersOf(chart: Record<string, unknown>): LossPoint[][] {
  return (chart.layer as { data: { values: LossPoint[] } }[]).map(({ data }) => data.values);
}

Deno.test("a loss chart shows its titles, axes, legend and every point of short curves", async () => {
  const points = [
    ...curve("training", 30, (step) => 3 / step),
    ...curve("validation", 3, (step) => 4 / step),
  ];
  const svg = await renderSVG(lossChart(points, { title: "Loss by step", subtitle: "a small model" }));
  for (
    const text of ["Loss by step", "a small model", "Step", "Loss (nats per token)", "training", "validation"]
  ) {
    assert.ok(svg.includes(`>${text}</text>`), text);
  }
  assert.deepEqual(layersOf(lossChart(points)).map((layer) => layer.length), [33, 3]);
});

Deno.test("training and validation have the same colours in lossChart, in any order of points, and in plotRun", async () => {
  const colorsOf = (picture: unknown): { domain: string[]; range: string[] } =>
    (picture as { layer: { encoding: { color: { scale: never } } }[] }).layer[0].encoding.color.scale;
  const before = { step: 0, loss: 5, series: "validation" };
  const points = [before, ...curve("training", 3, (step) => step), ...curve("validation", 3, (step) => step)];
  const log = points.map(({ series, ...point }) => ({
    kind: series === "training" ? "step" as const : "evaluation" as const,
    ...{ ...point, time: 0 },
  }));
  const [run] = (await plotRun(log)).vconcat as unknown[];
  assert.deepEqual(colorsOf(run), { domain: ["training", "validation"], range: ["#2b6cb0", "#dd6b20"] });
  assert.deepEqual(colorsOf(lossChart(points)), colorsOf(run));
  assert.deepEqual(colorsOf(lossChart(points.toReversed())), colorsOf(run));
  const other = { step: 1, loss: 2, series: "other" };
  assert.deepEqual(colorsOf(lossChart([other, ...points])).domain, ["training", "validation", "other"]);
});

Deno.test("a long curve is drawn thin, with its centred mean, and says so", async () => {
  const chart = lossChart(curve("training", 600, (step) => step % 2).reverse());
  const [thin, thick] = layersOf(chart);
  assert.deepEqual([thin.length, thick.length], [600, 600]);
  assert.deepEqual(thin.slice(0, 2).map(({ step }) => step), [1, 2]);
  assert.equal(thick[300].loss, 11 / 21); // 21 steps around step 301, from odd 291 to odd 311
  assert.equal(thick[0].loss, 6 / 11); // at the edge: steps 1 to 11
  assert.match(await renderSVG(chart), /thick line: mean of 21 steps/);
});

Deno.test("a score chart labels its bars", async () => {
  const base = { rouge1: { fmeasure: 0.1748 }, rougeLsum: 0.0864 };
  const svg = await renderSVG(scoreChart({ base, tuned: { rouge1: 0.1968, rougeLsum: 0.1071 } }));
  for (const text of ["ROUGE-1", "ROUGE-Lsum", "base", "tuned", "0.175", "0.086", "0.197", "0.107"]) {
    assert.ok(svg.includes(`>${text}</text>`), text);
  }
});

Deno.test("a PNG has the chart's size and dark letters in its title line", async () => {
  const chart = lossChart(curve("training", 2, (step) => 1 / step), {
    title: "MMMMMMMM",
    width: 300,
    height: 100,
  });
  const png = await renderPNG(chart, { scale: 1 });
  assert.deepEqual([...png.subarray(0, 8)], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const header = new DataView(png.buffer, png.byteOffset + 16, 8);
  const [, width, height] = /width="(\d+)" height="(\d+)"/.exec(await renderSVG(chart))!;
  assert.deepEqual([header.getUint32(0), header.getUint32(4)], [Number(width), Number(height)]);
  // The same chart without the letters of its title is lighter, and so packs smaller.
  const blank = await renderPNG(
    lossChart(curve("training", 2, (step) => 1 / step), { title: "\u00a0", width: 300, height: 100 }),
    { scale: 1 },
  );
  assert.ok(png.length - blank.length > 300, `${png.length} with a title, ${blank.length} without`);
});

Deno.test("charts are saved by their ending, and mistakes are named", async () => {
  const folder = await Deno.makeTempDir();
  const chart = lossChart(curve("training", 3, (step) => step));
  await saveChart(chart, `${folder}/loss.PNG`);
  await saveChart(chart, `${folder}/loss.svg`);
  assert.equal((await Deno.readFile(`${folder}/loss.PNG`))[1], 0x50);
  assert.ok((await Deno.readTextFile(`${folder}/loss.svg`)).startsWith("<svg"));
  await saveChart(chart, `${folder}/loss.json`);
  assert.deepEqual(JSON.parse(await Deno.readTextFile(`${folder}/loss.json`)).width, 560);
  assert.equal([...Deno.readDirSync(folder)].length, 3);
  await Deno.remove(folder, { recursive: true });
  const named = (message: RegExp) => (error: Error) =>
    error instanceof UserError && message.test(error.message);
  await assert.rejects(
    saveChart(chart, "loss.jpg"),
    named(/loss\.jpg: a chart is saved as \.svg, \.png or \.json/),
  );
  assert.throws(() => lossChart([]), named(/at least one point/));
  assert.throws(
    () => lossChart([{ step: 3, loss: NaN, series: "training" }]),
    named(/training point at step 3 .* NaN/),
  );
  assert.throws(() => scoreChart({}), named(/at least one score/));
  assert.throws(() => scoreChart({ base: { bleu: 1 }, tuned: {} }), named(/bleu of tuned is undefined/));
});

Deno.test({
  name: "a PNG without the permission to read names the flag",
  permissions: { read: false },
  fn: async () => {
    const chart = lossChart(curve("training", 2, (step) => step));
    const named = (error: Error) => error instanceof UserError && error.message.includes("--allow-read");
    await assert.rejects(renderPNG(chart, { fonts: ["fonts/other.ttf"] }), named);
  },
});

Deno.test("in a notebook a chart shows as Vega-Lite and as SVG, and stays plain JSON", async () => {
  const chart = lossChart(curve("training", 3, (step) => step));
  const show =
    (chart as Record<symbol, () => Promise<Record<string, unknown>>>)[Symbol.for("Jupyter.display")];
  const forms = await show();
  assert.equal(forms["application/vnd.vegalite.v5+json"], chart);
  assert.match(forms["image/svg+xml"] as string, /^<svg/);
  assert.equal(Object.getOwnPropertySymbols(JSON.parse(JSON.stringify(chart))).length, 0);
});
