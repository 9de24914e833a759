// Sweeps: each experiment once, results that survive a kill; and training that goes on from a saved adapter.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { padBatches } from "../lib/data/pack.ts";
import { UserError } from "../lib/errors.ts";
import { attachLoRA, countTrainable } from "../lib/lora.ts";
import { removeAdapter } from "../lib/models/free.ts";
import { loadModel } from "../lib/models/load.ts";
import { activeAdapter, type Model } from "../lib/models/model.ts";
import { loadAdapter, saveAdapter } from "../lib/peft.ts";
import { adamW } from "../lib/train/adamw.ts";
import { continueTraining } from "../lib/train/continue.ts";
import { evaluateLoss, trainEpoch } from "../lib/train/epoch.ts";
import { train } from "../lib/train/run.ts";
import { sweep, type SweepOptions } from "../lib/train/sweep.ts";
import { quantizeNF4 } from "../lib/quantize/quantize.ts";
import { openDevice } from "../lib/engine/open.ts";
import { readCases, referenceFolder } from "./references.ts";

const device = await openDevice({ backend: "cpu" });
const path = join(referenceFolder("llama_tied"), "model");
const load = () => loadModel(path, { device, dtype: "f32" });
const { rows } = await readCases("llama_tied");
const batches = padBatches(rows, { batchSize: 4 });

const userError = (pattern: RegExp) => (error: unknown) =>
  error instanceof UserError && pattern.test(error.message) || assert.fail(String(error));

type Settings = { model?: string; r: number; learningRate: number };
const runs: Settings[] = [5e-5, 2e-4, 3e-4].map((learningRate) => ({ r: 16, learningRate }))
  .concat([8, 16, 32].map((r) => ({ r, learningRate: 2e-4 })));

/** Counts what is loaded and done. */
function counted(out: string, more: Partial<SweepOptions<Settings>> = {}) {
  const seen = { loads: 0, names: [] as string[], folders: [] as string[] };
  const options: SweepOptions<Settings> = {
    models: { LoRA: () => (seen.loads++, load()) },
    runs,
    out,
    quiet: true,
    async run(base, { r, learningRate }, { name, folder, signal }) {
      seen.names.push(name);
      seen.folders.push(folder);
      const model = attachLoRA(base, { r, alpha: 2 * r, quiet: true });
      const optimizer = adamW(model, { learningRate });
      await trainEpoch(model, batches, { optimizer, quiet: true, signal });
      const loss = await evaluateLoss(model, batches);
      optimizer.free();
      removeAdapter(model, "default");
      return { loss, parameters: countTrainable(model).total };
    },
    ...more,
  };
  return { seen, options };
}

Deno.test("the document's experiments: equal ones once, the base loaded once, a table, a chart", async () => {
  const out = await Deno.makeTempDir();
  const { seen, options } = counted(out, { common: { epochs: 1 } });
  const { results, table, chart, complete, failed } = await sweep(options);
  assert.equal(seen.loads, 1);
  assert.deepEqual(seen.names, [
    "r 16, learningRate 0.00005",
    "r 16, learningRate 0.0002",
    "r 16, learningRate 0.0003",
    "r 8, learningRate 0.0002",
    "r 32, learningRate 0.0002",
  ]);
  assert.ok(complete && failed.length === 0 && results.length === 5);
  // By hand the same loss comes out, to the bit.
  const model = attachLoRA(await load(), { r: 8, alpha: 16, quiet: true });
  await trainEpoch(model, batches, { optimizer: adamW(model, { learningRate: 2e-4 }), quiet: true });
  assert.equal(results[3].scores.loss, await evaluateLoss(model, batches));
  assert.deepEqual(results[3].settings, { r: 8, learningRate: 2e-4, epochs: 1 });

  assert.match(table, /^\| r +\| learningRate \| loss +\||^\| r +\| learningRate \| +loss \|/);
  assert.equal(table.split("\n").length, 7);
  assert.equal(await Deno.readTextFile(join(out, "table.md")), table + "\n");
  assert.deepEqual(
    JSON.parse(await Deno.readTextFile(join(out, "chart.json"))),
    JSON.parse(JSON.stringify(chart)),
  );
  assert.match(await Deno.readTextFile(join(out, "chart.svg")), /r 16, learningRate 0\.00005/);
  const lines = (await Deno.readTextFile(join(out, "results.jsonl"))).trimEnd().split("\n");
  assert.deepEqual(lines.map((line) => JSON.parse(line)), results);

  // Nothing is left to do; other common settings make other runs.
  const again = counted(out, { common: { epochs: 1 } });
  assert.deepEqual((await sweep(again.options)).results, results);
  assert.deepEqual(again.seen, { loads: 0, names: [], folders: [] });
  const other = counted(out, { common: { epochs: 2 }, runs: runs.slice(0, 1) });
  assert.equal((await sweep(other.options)).results.length, 1);
  assert.deepEqual(other.seen.names, seen.names.slice(0, 1));
  assert.ok(!seen.folders.includes(other.seen.folders[0]), "its checkpoints are not those of the other run");
  assert.equal(new Set(seen.folders).size, 5);
  await Deno.remove(out, { recursive: true });
});

Deno.test("a sweep goes on after a kill, with a torn line, and after a signal", async () => {
  const out = await Deno.makeTempDir(), stop = new AbortController();
  const first = counted(out, { signal: stop.signal });
  const { run } = first.options;
  const cut = await sweep({
    ...first.options,
    run: async (base, settings, place) => {
      const scores = await run(base, settings, place);
      if (first.seen.names.length === 3) stop.abort(); // in the middle of the third run
      return scores;
    },
  });
  assert.ok(!cut.complete && cut.results.length === 2);
  const file = join(out, "results.jsonl"), whole = await Deno.readTextFile(file);
  await Deno.writeTextFile(file, whole + whole.split("\n")[0].slice(0, 40)); // what a killed process leaves
  const second = counted(out);
  const { results, complete } = await sweep(second.options);
  assert.ok(complete);
  assert.deepEqual(second.seen.names.length, 3);
  const never = await Deno.makeTempDir(), uncut = await sweep(counted(never).options);
  assert.deepEqual(results.map(({ scores }) => scores), uncut.results.map(({ scores }) => scores));
  assert.ok((await Deno.readTextFile(file)).startsWith(whole));

  await Deno.writeTextFile(file, "nothing\n" + whole);
  await assert.rejects(sweep(counted(out).options), userError(/results\.jsonl, line 1: this is no result/));
  for (const folder of [out, never]) await Deno.remove(folder, { recursive: true });
});

Deno.test("a sweep over models, LoRA against QLoRA; runs that fail are told and tried again", async () => {
  const out = await Deno.makeTempDir();
  const models = { LoRA: load, QLoRA: async () => await quantizeNF4(await load(), { doubleQuant: true }) };
  const { seen, options } = counted(out);
  const both = {
    ...options,
    models,
    runs: [{ r: 4, learningRate: 1e-3 }, { model: "LoRA", r: 2, learningRate: 1e-3 }],
  };
  const failing = await sweep<Settings>({
    ...both,
    run: (base, settings, place) => {
      if (place.name.startsWith("QLoRA")) throw new UserError("the loss is not finite.");
      return options.run(base, settings, place);
    },
  });
  assert.deepEqual(failing.failed, [
    { model: "QLoRA", settings: { r: 4, learningRate: 1e-3 }, message: "the loss is not finite." },
  ]);
  assert.ok(!failing.complete);
  const { results, table } = await sweep(both);
  assert.deepEqual(results.map(({ model, settings: { r } }) => [model, r]), [["LoRA", 4], ["QLoRA", 4], [
    "LoRA",
    2,
  ]]);
  assert.notEqual(results[0].scores.loss, results[1].scores.loss);
  assert.match(table, /^\| model +\| r /);
  assert.equal(seen.names.length, 3);

  const wrong: [Partial<SweepOptions<Settings>>, RegExp][] = [
    [{ runs: [] }, /at least one model and one run/],
    [{ runs: [{ model: "GPT", r: 4, learningRate: 1 }] }, /Run 1 .* is for the model "GPT"; there are LoRA/],
    [{ common: { r: 4 } }, /Run 1 of the sweep has a r of its own/],
  ];
  for (const [more, pattern] of wrong) {
    await assert.rejects(sweep({ ...options, ...more }), userError(pattern));
  }
  const nan = await sweep<Settings>({
    ...options,
    out: join(out, "nan"),
    run: () => Promise.resolve({ loss: NaN }),
  });
  assert.match(nan.failed[0].message, /The score loss of r 16, learningRate 0\.00005 is NaN/);
  await Deno.remove(out, { recursive: true });
});

Deno.test("continueTraining is loading, a new optimizer and training; the saved adapter stays as it is", async () => {
  const out = await Deno.makeTempDir(), base = await load();
  const [first, second] = [rows.slice(0, 4), rows.slice(4)].map((part) => padBatches(part, { batchSize: 2 }));
  const begun = attachLoRA(base, { r: 4, dropout: 0.1, quiet: true });
  const options = { epochs: 2, seed: 3, quiet: true };
  await train(begun, first, { ...options, optimizer: adamW(begun, { learningRate: 1e-3 }) });
  await saveAdapter(begun, join(out, "first"));
  const saved = await Deno.readFile(join(out, "first", "adapter_model.safetensors"));

  const { model, steps, loss } = await continueTraining(base, join(out, "first"), second, {
    ...options,
    learningRate: 3e-4,
    out: join(out, "run"),
  });
  const byHand = await loadAdapter(base, join(out, "first"));
  const run = await train(byHand, second, { ...options, optimizer: adamW(byHand, { learningRate: 3e-4 }) });
  assert.deepEqual([steps, loss], [run.steps, run.loss]);
  assert.deepEqual(await valuesOf(model), await valuesOf(byHand));
  assert.notDeepEqual(await valuesOf(model), await valuesOf(begun));
  assert.equal(activeAdapter(model)!.config.dropout, 0.1);
  assert.deepEqual(await Deno.readFile(join(out, "first", "adapter_model.safetensors")), saved);
  await assert.rejects(
    continueTraining(base, join(out, "nowhere"), second, { learningRate: 1 }),
    userError(/nowhere/),
  );
  await assert.rejects(
    continueTraining(base, join(out, "first"), second, {} as { learningRate: number }),
    userError(/continueTraining needs options with learningRate/),
  );
  await Deno.remove(out, { recursive: true });
});

async function valuesOf(model: Model): Promise<Float32Array[]> {
  const data = await device.read(...activeAdapter(model)!.parameters.values());
  return data.map((values) => (values as Float32Array).slice());
}
