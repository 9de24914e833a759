// What governs an epoch, on each backend: signals, limits, reports, the progress line, and losses that are not finite.
import assert from "node:assert/strict";
import process from "node:process";
import { join } from "@std/path";
import { type Batch, batchOf } from "../lib/data/batch.ts";
import { type Batches, packBatches } from "../lib/data/pack.ts";
import { attachLoRA } from "../lib/lora.ts";
import { loadModel } from "../lib/models/load.ts";
import { type Model, trainableParameters } from "../lib/models/model.ts";
import { adamW } from "../lib/train/adamw.ts";
import { evaluateLoss, trainEpoch } from "../lib/train/epoch.ts";
import type { StepReport } from "../lib/train/optimizer_step.ts";
import { linearSchedule } from "../lib/train/schedule.ts";
import { devices } from "./devices.ts";
import { assertClose, referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

/** Row i has i % 5 + 2 tokens, of its own. */
const rows = Array.from({ length: 20 }, (_, i) => ({
  inputIds: [1, ...Array.from({ length: i % 5 + 1 }, (_, k) => 10 + i + k)],
}));
const batches: Batch[] = rows.map((row, i) => ({ ...batchOf([row]), rows: [i] }));
const tokensOf = (from: number, to: number) =>
  rows.slice(from, to).reduce((sum, { inputIds }) => sum + inputIds.length, 0);

/** What is written to standard error meanwhile. */
async function written(body: () => Promise<unknown>): Promise<string> {
  const pieces: string[] = [], original = process.stderr.write;
  process.stderr.write = ((text: string) => (pieces.push(text), true)) as typeof original;
  try {
    await body();
  } finally {
    process.stderr.write = original;
  }
  return pieces.join("");
}

/** Batches whose shuffled batches tell which rows they hold. */
function watched(batches: Batches, seen: number[][]): Batches {
  return {
    ...batches,
    shuffle: (seed) => watched(batches.shuffle(seed), seen),
    *[Symbol.iterator]() {
      for (const batch of batches) {
        seen.push(batch.rows);
        yield batch;
      }
    },
  };
}

for (const device of await devices()) {
  const test = (name: string, body: () => Promise<void>) => Deno.test(`${device.backend}: ${name}`, body);
  /** Own head, so that a poisoned embedding harms only the rows that use it. */
  const folder = join(referenceFolder("llama_rope3"), "model");
  const base = await loadModel(folder, { device, dtype: "f32" });
  const tuned = (model = base) => attachLoRA(model, { r: 2, alpha: 4, quiet: true });
  const adapterOf = async (model: Model) =>
    (await device.read(...trainableParameters(model).values())).map((values) => values.slice());
  const perReadback = device.backend === "cpu" ? 1 : 8;

  test("reports come in order, with what each step was", async () => {
    const model = tuned(), reports: StepReport[] = [];
    const learningRate = linearSchedule(1e-2, { warmup: 3, total: 14 });
    const optimizer = adamW(model, { learningRate });
    const onStep = (report: StepReport) => void reports.push(report);
    const first = await trainEpoch(model, batches, {
      optimizer,
      onStep,
      gradientAccumulationSteps: 3,
      quiet: true,
    });
    const second = await trainEpoch(model, batches, {
      optimizer,
      onStep,
      gradientAccumulationSteps: 3,
      quiet: true,
    });
    // 20 batches by 3: six steps of three and one of two.
    assert.deepEqual([first.steps, second.steps, first.stopped, optimizer.steps], [7, 7, false, 14]);
    assert.deepEqual(reports.map(({ step }) => step), Array.from({ length: 14 }, (_, i) => i + 1));
    assert.deepEqual(reports.map((report) => report.learningRate), reports.map((_, i) => learningRate(i)));
    for (const [i, { tokens, loss, gradNorm }] of reports.entries()) {
      assert.equal(tokens, tokensOf(3 * (i % 7), 3 * (i % 7) + 3), `step ${i + 1}`);
      assert.ok(loss > 0 && gradNorm > 0 && Number.isFinite(loss + gradNorm));
    }
    assert.equal(first.tokens, tokensOf(0, 20));
    assert.ok(first.seconds > 0 && Math.abs(first.tokensPerSecond * first.seconds - first.tokens) < 1e-6);
    // The epoch's loss is the mean over trained positions, not over steps.
    const trained = reports.slice(0, 7).map((_, i) =>
      tokensOf(3 * i, 3 * i + 3) - rows.slice(3 * i, 3 * i + 3).length
    );
    const total = trained.reduce((a, b) => a + b, 0);
    const mean = reports.slice(0, 7).reduce((sum, { loss }, i) => sum + loss * trained[i] / total, 0);
    assertClose([first.loss], [mean], 1e-6, "the epoch's loss");
    assert.ok(second.loss < first.loss);
    assertClose([reports[0].loss], [await evaluateLoss(base, batches.slice(0, 3))], 1e-5, "first loss");
  });

  test("a signal ends the epoch after the step in hand", async () => {
    const model = tuned(), stop = new AbortController(), reports: StepReport[] = [];
    const optimizer = adamW(model, { learningRate: 1e-2 });
    const onStep = (report: StepReport) => {
      reports.push(report);
      if (report.step === 3) stop.abort();
    };
    const options = { optimizer, onStep, signal: stop.signal, quiet: true };
    const report = await trainEpoch(model, batches, options);
    // A GPU's reports come eight at a time, and the signal with them.
    const done = Math.ceil(3 / perReadback) * perReadback;
    assert.deepEqual([report.steps, report.stopped, report.tokens], [done, true, tokensOf(0, done)]);
    assert.deepEqual([reports.length, optimizer.steps], [done, done]);
    const before = await adapterOf(model);
    const none = await trainEpoch(model, batches, options);
    assert.deepEqual([none.steps, none.stopped, none.tokens, optimizer.steps], [0, true, 0, done]);
    assert.ok(Number.isNaN(none.loss));
    assert.deepEqual(await adapterOf(model), before);
    // Continued where it was left: the same as in one go.
    const rest = await trainEpoch(model, batches.slice(done), { optimizer, quiet: true });
    assert.deepEqual([rest.steps, rest.stopped], [20 - done, false]);
    const whole = tuned();
    await trainEpoch(whole, batches, { optimizer: adamW(whole, { learningRate: 1e-2 }), quiet: true });
    assert.deepEqual(await adapterOf(model), await adapterOf(whole));
  });

  test("maxSteps", async () => {
    const model = tuned(), optimizer = adamW(model, { learningRate: 1e-3 });
    const train = (maxSteps: number, gradientAccumulationSteps = 1) =>
      trainEpoch(model, batches, { optimizer, maxSteps, gradientAccumulationSteps, quiet: true });
    for (const [maxSteps, accumulated, steps] of [[1, 1, 1], [5, 1, 5], [50, 1, 20], [2, 3, 2], [7, 3, 7]]) {
      const report = await train(maxSteps, accumulated);
      assert.deepEqual([report.steps, report.stopped], [steps, false]);
      assert.equal(report.tokens, tokensOf(0, steps * accumulated));
    }
    for (const maxSteps of [0, -1, 1.5, NaN]) {
      await refused("maxSteps", () => train(maxSteps), /maxSteps is .*whole number from 1/);
    }
  });

  test("a shuffled epoch visits every row once, in an order that the seed decides", async () => {
    const packed = packBatches(rows, { batchSize: 3 }), model = tuned();
    const optimizer = adamW(model, { learningRate: 1e-3 });
    const epoch = async (seed?: number) => {
      const seen: number[][] = [];
      const { steps, tokens } = await trainEpoch(model, watched(packed, seen), {
        optimizer,
        seed,
        quiet: true,
      });
      assert.deepEqual([steps, tokens], [7, tokensOf(0, 20)]);
      assert.deepEqual(seen.flat().sort((a, b) => a - b), rows.map((_, i) => i));
      return seen.flat().join();
    };
    const orders = [await epoch(1), await epoch(2), await epoch(3)];
    assert.equal(new Set(orders).size, 3);
    assert.equal(await epoch(2), orders[1]);
    assert.equal(await epoch(), await epoch(0));
    assert.ok(!orders.includes(rows.map((_, i) => i).join()));
  });

  test("a loss that is not finite stops the run and names the step and its rows", async () => {
    const table = base.weights.get("model.embed_tokens.weight")!;
    assert.ok(table.kind === "dense");
    const [numbers] = await device.read(table.tensor);
    for (const poison of [NaN, Infinity]) {
      const poisoned = Float32Array.from(numbers as Float32Array), width = base.config.hiddenSize;
      poisoned.fill(poison, 30 * width, 31 * width);
      const embedding = {
        kind: "dense" as const,
        tensor: device.upload(poisoned, table.tensor.shape, "f32"),
      };
      const model = tuned({
        ...base,
        weights: new Map([...base.weights, ["model.embed_tokens.weight", embedding]]),
      });
      const optimizer = adamW(model, { learningRate: 1e-2 }), reports: StepReport[] = [];
      const bad = { ...batchOf([{ inputIds: [1, 5] }, { inputIds: [1, 30, 31] }]), rows: [17, 4] };
      const train = (list: Batch[], more = {}) =>
        trainEpoch(model, list, {
          optimizer,
          quiet: true,
          onStep: (report) => void reports.push(report),
          ...more,
        });
      const before = device.memory().buffers;
      await refused(
        `${poison}`,
        () => train([...batches.slice(0, 2), bad, batches[2]]),
        device.backend === "cpu"
          ? /^The loss of step 3 is (NaN|-?Infinity) \(row 4\), from that row alone, the other 1 of the batch being sound/
          : /^The loss of step 3 is (NaN|-?Infinity) \(rows 17, 4\): usually the learning rate is too high; lower it, or/,
      );
      assert.deepEqual(reports.map(({ step }) => step), [1, 2]);
      assert.equal(device.memory().buffers, before, "nothing is left behind");
      if (device.backend === "cpu") {
        const good = tuned();
        await trainEpoch(good, batches.slice(0, 2), {
          optimizer: adamW(good, { learningRate: 1e-2 }),
          quiet: true,
        });
        assert.deepEqual(await adapterOf(model), await adapterOf(good), "the adapter is that of step 2");
        assert.equal(optimizer.steps, 2);
        assert.equal((await train([batches[2]])).steps, 1, "and can be trained on");
      }
    }
    const model = tuned(), optimizer = adamW(model, { learningRate: 1e38 });
    await refused(
      "a huge learning rate",
      () => trainEpoch(model, batches, { optimizer, quiet: true }),
      /^The loss of step [23] is (NaN|-?Infinity) \(row [12]\)/,
    );
  });

  test("gradients that are not finite stop the run too, though the loss is", async () => {
    const model = attachLoRA(base, { r: 2, alpha: 1e30, quiet: true });
    const optimizer = adamW(model, { learningRate: 1e-3 }), before = await adapterOf(model);
    const { buffers } = device.memory();
    await refused(
      "a huge alpha",
      () => trainEpoch(model, batches.slice(0, 1), { optimizer, quiet: true }),
      /^The gradients of step 1 have the norm (NaN|Infinity) \(row 0\), .*lower learning rate or alpha/,
    );
    if (device.backend === "cpu") {
      assert.deepEqual([await adapterOf(model), optimizer.steps], [before, 0], "nothing has changed");
      assert.equal(device.memory().buffers, buffers);
    }
  });

  test("steps done before an error are reported, and leave nothing behind", async () => {
    const model = tuned(), optimizer = adamW(model, { learningRate: 1e-3 }), steps: number[] = [];
    const onStep = ({ step }: StepReport) => void steps.push(step);
    const before = device.memory().buffers, outside = batchOf([{ inputIds: [1, base.config.vocabSize] }]);
    await refused(
      "a token outside the vocabulary",
      () => trainEpoch(model, [...batches.slice(0, 2), outside], { optimizer, onStep, quiet: true }),
      /outside the model's vocabulary/,
    );
    assert.deepEqual([steps, device.memory().buffers], [[1, 2], before]);
  });

  test("an optimizer of another model is refused before anything happens", async () => {
    const model = tuned(), other = adamW(tuned(), { learningRate: 1 }), before = await adapterOf(model);
    const train = () => trainEpoch(model, batches, { optimizer: other, quiet: true });
    await refused("other", train, /made for another model/);
    assert.deepEqual([await adapterOf(model), other.steps], [before, 0]);
  });
}

Deno.test("the progress line: written to standard error, ended after an error too, quiet on request", async () => {
  const [device] = await devices();
  const model = attachLoRA(await loadModel(join(referenceFolder("llama_tied"), "model"), { device }), {
    r: 2,
    quiet: true,
  });
  const optimizer = adamW(model, { learningRate: 1e-3 });
  const train = (more = {}) => trainEpoch(model, batches.slice(0, 4), { optimizer, ...more });
  const lines = (await written(train)).split("\n");
  assert.match(lines[0], /^training 1\/4 · loss \d+\.\d{4} · [\d,]+ tokens\/s · \d+ MB$/);
  assert.match(lines.at(-2)!, /^training 4\/4 · in .+ · loss \d+\.\d{4} · [\d,]+ tokens\/s · \d+ MB$/);
  assert.equal(lines.at(-1), "");
  assert.match(await written(() => train({ maxSteps: 2, gradientAccumulationSteps: 2 })), /training 2\/2 /);
  assert.equal(await written(() => train({ quiet: true })), "");
  const onStep = ({ step }: StepReport) => assert.notEqual(step % 2, 0, "an error of the caller's");
  const broken = await written(() => assert.rejects(train({ onStep }), /of the caller's/));
  assert.match(broken, /^training 1\/4 [^\n]*\n(training 1\/4 · in [^\n]*\n)$/);
});
