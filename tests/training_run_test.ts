// What governs a run: evaluation, early stopping, the best, which checkpoints are kept, the log, and losses that are not finite.
import assert from "node:assert/strict";
import process from "node:process";
import { join } from "@std/path";
import { type Batch, batchOf } from "../lib/data/batch.ts";
import { attachLoRA } from "../lib/lora.ts";
import { trainableParameters } from "../lib/models/model.ts";
import { loadAdapter } from "../lib/peft.ts";
import { type LogEntry, readRunLog } from "../lib/report/run_log.ts";
import { adamW } from "../lib/train/adamw.ts";
import { readState, resumeTraining } from "../lib/train/checkpoint.ts";
import { evaluateLoss, trainEpoch } from "../lib/train/epoch.ts";
import { train } from "../lib/train/run.ts";
import type { RunOptions } from "../lib/train/run_options.ts";
import { devices } from "./devices.ts";
import { refused } from "./refused.ts";
import { batches, bits, checkpoints, heldOut, inFolder, loadBase, run, start } from "./runs.ts";

const all = await devices(), [cpu] = all;
const base = await loadBase(cpu);

/** What is written to standard error meanwhile. */
async function written(body: () => Promise<unknown>): Promise<string> {
  const pieces: string[] = [], { write } = process.stderr, { error } = console;
  process.stderr.write = ((text: string) => (pieces.push(text), true)) as typeof write;
  console.error = (...words) => void pieces.push(words.join(" ") + "\n");
  try {
    await body();
  } finally {
    process.stderr.write = write;
    console.error = error;
  }
  return pieces.join("");
}

/** Rates that make the held-out loss fall for some steps, then rise. */
const overfit = { learningRate: 0.08 };

Deno.test("a run is trainEpoch over its epochs, bit for bit", async () => {
  const one = start(base), two = start(base), seeds: number[] = [], seen: number[] = [];
  const watched = { ...batches, shuffle: (seed: number) => (seeds.push(seed), batches.shuffle(seed)) };
  const report = await train(one.model, watched, {
    optimizer: one.optimizer,
    epochs: 2,
    checkpointing: true,
    quiet: true,
    onStep: ({ step }) => seen.push(step),
  });
  assert.deepEqual([report.steps, report.stopped, report.evaluations, report.checkpoint], [
    14,
    "done",
    [],
    undefined,
  ]);
  assert.deepEqual([seen, report.tokens], [Array.from({ length: 14 }, (_, i) => i + 1), 2 * batches.tokens]);
  assert.equal(new Set(seeds).size, 2, "every epoch has an order of its own");
  for (const seed of new Set(seeds)) {
    await trainEpoch(two.model, batches, {
      optimizer: two.optimizer,
      seed,
      checkpointing: true,
      quiet: true,
    });
  }
  assert.deepEqual(await bits(one), await bits(two));
});

Deno.test("early stopping and the best, as Transformers counts them", async () => {
  await inFolder(async (out) => {
    const each = start(base, overfit), seen: [number, number, boolean][] = [], patience = 3, threshold = 0.02;
    const report = await run(each, {
      out,
      heldOut,
      evalSteps: 2,
      maxSteps: 40,
      saveSteps: 1,
      earlyStoppingPatience: patience,
      earlyStoppingThreshold: threshold,
      loadBestModelAtEnd: true,
      onEvaluate: ({ step, loss, best }) => seen.push([step, loss, best]),
    });
    let best = Infinity, bestStep = 0, without = 0;
    for (const [i, [step, loss, isBest]] of seen.entries()) {
      assert.deepEqual([step, isBest], [2 * (i + 1), loss < best]);
      without = loss < best - threshold ? 0 : without + 1;
      if (loss < best) [best, bestStep] = [loss, step];
      assert.equal(
        without >= patience,
        i === seen.length - 1,
        "it ends at the third without improvement, not before",
      );
    }
    assert.deepEqual([report.stopped, report.steps], ["early stopping", seen.at(-1)![0]]);
    assert.deepEqual(report.best, report.evaluations.find(({ step }) => step === bestStep));
    assert.ok(bestStep < report.steps && report.steps < 40);
    assert.equal(await evaluateLoss(each.model, heldOut), best, "the model has the best weights");
    const names = checkpoints(out);
    assert.ok(
      names.includes(`checkpoint-${bestStep}`) && names.includes(`checkpoint-${report.steps}`),
      `${names}`,
    );
    assert.equal(names.length, 3, "the last two and the best");
    const again = await run(start(base, overfit), {
      out,
      heldOut,
      evalSteps: 2,
      maxSteps: 40,
      earlyStoppingPatience: patience,
      earlyStoppingThreshold: threshold,
      resume: true,
    });
    assert.deepEqual([again.stopped, again.steps, again.evaluations], [
      "early stopping",
      report.steps,
      report.evaluations,
    ]);
  });
});

Deno.test("the last k checkpoints are kept, and those of best evaluations are saved besides", async () => {
  await inFolder(async (folder) => {
    for (const [saveTotalLimit, expected] of [[1, [10]], [3, [8, 9, 10]], [undefined, [9, 10]]] as const) {
      const out = join(folder, `${saveTotalLimit}`);
      const { checkpoint } = await run(start(base), { out, saveSteps: 1, saveTotalLimit });
      assert.deepEqual(checkpoints(out), expected.map((step) => `checkpoint-${step}`).sort());
      assert.equal(checkpoint, join(out, "checkpoint-10"));
    }
    const out = join(folder, "best"), saved: number[] = [];
    await run(start(base), { out, heldOut, evalSteps: 3, saveSteps: 100, saveTotalLimit: 9 });
    for (const name of checkpoints(out)) saved.push(Number(name.split("-")[1]));
    const { evaluations } = await readState(join(out, "checkpoint-10"));
    const best = evaluations.filter(({ loss }, i) =>
      evaluations.slice(0, i).every((before) => loss < before.loss)
    );
    assert.deepEqual(saved.sort((a, b) => a - b), [...new Set([...best.map(({ step }) => step), 10])]);
  });
});

Deno.test("a best checkpoint that is gone is told when the run goes on, not at its end", async () => {
  await inFolder(async (folder) => {
    const out = join(folder, "a"), from = join(out, "checkpoint-4"), path = join(from, "training_state.json");
    await run(start(base), { out, heldOut, evalSteps: 2, maxSteps: 4 });
    const state = JSON.parse(await Deno.readTextFile(path)), best = { ...state.evaluations[0], loss: 0 };
    await Deno.writeTextFile(path, JSON.stringify({ ...state, best }));
    const again = (loadBestModelAtEnd: boolean, more: Partial<RunOptions>) =>
      run(start(base), { out, heldOut, evalSteps: 2, maxSteps: 5, loadBestModelAtEnd, ...more });
    const lacks = /lacks checkpoint-2, the best so far, .* put checkpoint-2 and checkpoint-4 there/;
    await refused("elsewhere", () => again(true, { out: join(folder, "b"), resume: from }), lacks);
    await Deno.remove(join(out, "checkpoint-2"), { recursive: true });
    await refused("removed", () => again(true, { resume: true }), lacks);
    assert.equal((await again(false, { resume: true })).steps, 5);
  });
});

Deno.test("a signal during an evaluation: saved without it, and the resumed run does it", async () => {
  await inFolder(async (folder) => {
    const out = join(folder, "out"), stop = new AbortController(), whole = start(base), second = start(base);
    const report = await run(whole, { heldOut, evalSteps: 4 });
    let taken = 0;
    const stopping = {
      ...heldOut,
      *[Symbol.iterator]() {
        for (const batch of heldOut) {
          if (++taken === 1) stop.abort();
          yield batch;
        }
      },
    };
    const first = await run(start(base), { out, heldOut: stopping, evalSteps: 4, signal: stop.signal });
    assert.deepEqual([first.stopped, first.steps, first.evaluations, taken], ["signal", 4, [], 1]);
    const rest = await run(second, { out, heldOut, evalSteps: 4, resume: true });
    assert.deepEqual(rest.evaluations, report.evaluations);
    assert.deepEqual(await bits(second), await bits(whole));
    const before = await run(start(base), { out: join(folder, "b"), signal: AbortSignal.abort() });
    assert.deepEqual([before.steps, before.stopped, before.checkpoint], [0, "signal", undefined]);
  });
});

Deno.test("the log: every step once, whatever the run went through", async () => {
  await inFolder(async (folder) => {
    const log = (out: string) => readRunLog(join(folder, out, "log.jsonl"));
    const options = { heldOut, evalSteps: 4, saveSteps: 3 };
    const told = (entries: LogEntry[], ...kinds: string[]) =>
      entries.filter(({ kind }) => kinds.includes(kind)).map((
        { time: _, tokensPerSecond: _rate, memory: _memory, ...entry },
      ) => entry);
    await run(start(base), { ...options, out: join(folder, "whole") });
    const out = join(folder, "halves"),
      onStep = ({ step }: { step: number }) => assert.ok(step < 8, "a crash");
    await assert.rejects(run(start(base), { ...options, out, onStep }), /a crash/);
    assert.ok(checkpoints(out).includes("checkpoint-8"), "what was good is kept after any error");
    await Deno.remove(join(out, "checkpoint-8"), { recursive: true });
    await run(start(base), { ...options, out, resume: true });
    const [whole, halves] = [await log("whole"), await log("halves")];
    assert.deepEqual(told(halves, "step", "evaluation"), told(whole, "step", "evaluation"));
    assert.deepEqual(told(whole, "step").map(({ step }) => step), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert.deepEqual(whole.map(({ kind }) => kind).filter((kind) => kind === "start" || kind === "end"), [
      "start",
      "end",
    ]);
    assert.ok(halves.some(({ kind }) => kind === "resume"));
    for (const entry of whole.filter(({ kind }) => kind === "step")) {
      for (const name of ["loss", "gradNorm", "learningRate", "tokens", "tokensPerSecond", "memory"]) {
        assert.ok(Number.isFinite(entry[name]), name);
      }
    }
  });
});

Deno.test("a run says what it goes on from, and a rate that jumps", async () => {
  await inFolder(async (out) => {
    await run(start(base), { out, maxSteps: 2 });
    const said = await written(() => run(start(base), { out, maxSteps: 3, resume: true, quiet: false }));
    assert.ok(said.startsWith(`Going on from ${join(out, "checkpoint-2")}.\n`), said);
    assert.ok(!said.includes("learning rate"));
    const other = start(base, { learningRate: 0.01 });
    const jump = await written(() => run(other, { out, maxSteps: 4, resume: true, quiet: false }));
    assert.match(jump, /The learning rate goes on at 0\.00\d+; the run before would have had 0\.01\d+ now\./);
    assert.match(jump, /training 4\/4/);
    assert.equal(await written(() => run(start(base), { out, maxSteps: 5, resume: true })), "");
  });
});

Deno.test("held-out batches whose loss is of something else than what is trained are told of", async () => {
  const warn = console.warn, said: string[] = [];
  console.warn = (line) => said.push(line);
  try {
    for (
      const [trained, scored] of [[true, true], [undefined, true], [false, undefined], [true, false], [
        false,
        true,
      ]]
    ) {
      const { model, optimizer } = start(base);
      await train(model, { ...batches, completionOnly: trained }, {
        ...{ optimizer, maxSteps: 1, quiet: true },
        heldOut: { ...heldOut, completionOnly: scored },
      });
    }
  } finally {
    console.warn = warn;
  }
  assert.equal(said.length, 2);
  assert.match(said[0], /loss of whole texts, but answers alone are trained.*same completionOnly \(true\)/);
  assert.match(said[1], /loss of answers alone, but whole texts are trained.*same completionOnly \(false\)/);
});

Deno.test("options that cannot be are refused before anything happens", async () => {
  const cases: [Partial<RunOptions>, RegExp][] = [
    [{ epochs: 0 }, /epochs is 0/],
    [{ maxSteps: 1.5 }, /maxSteps is 1.5/],
    [{ evalSteps: 0 }, /evalSteps is 0/],
    [{ saveSteps: -1 }, /saveSteps is -1/],
    [{ saveTotalLimit: 0 }, /saveTotalLimit is 0/],
    [{ heldOut, earlyStoppingPatience: 0 }, /earlyStoppingPatience is 0/],
    [{ heldOut, earlyStoppingThreshold: NaN }, /earlyStoppingThreshold is NaN/],
    [{ heldOut: [] }, /heldOut has no batches/],
    [{ earlyStoppingPatience: 2 }, /need `heldOut`/],
    [{ loadBestModelAtEnd: true, heldOut }, /needs `out`/],
    [{ gradientAccumulationSteps: 0 }, /gradientAccumulationSteps is 0/],
  ];
  for (const [options, pattern] of cases) {
    await refused(JSON.stringify(options), () => run(start(base), options), pattern);
  }
  const each = start(base);
  await refused(
    "no batches",
    () => train(each.model, [], { optimizer: each.optimizer }),
    /no batches to train on/,
  );
});

for (const device of all) {
  Deno.test(`${device.backend}: not finite: the row is named, the last good weights are kept, in memory and on disk`, async () => {
    const base = await loadBase(device), table = base.weights.get("model.embed_tokens.weight")!;
    assert.ok(table.kind === "dense");
    const [numbers] = await device.read(table.tensor), width = base.config.hiddenSize;
    // Its own head, so that the poisoned token harms only the rows that it stands in.
    const poisoned = Float32Array.from(numbers as Float32Array).fill(NaN, 119 * width, 120 * width);
    const weights = new Map(base.weights).set("lm_head.weight", table);
    weights.set("model.embed_tokens.weight", {
      kind: "dense",
      tensor: device.upload(poisoned, table.tensor.shape, "f32"),
    });
    const bad = {
      ...batchOf([{ inputIds: [1, 5, 7] }, { inputIds: [1, 119, 31] }, { inputIds: [1, 9] }]),
      rows: [17, 4, 8],
    };
    const list: Batch[] = [...batches].slice(0, 6).toSpliced(5, 0, bad);
    await inFolder(async (out) => {
      const each = start({ ...base, weights }),
        options = { optimizer: each.optimizer, epochs: 1, saveSteps: 2, quiet: true };
      const pattern = device.backend === "cpu"
        ? /^The loss of step 6 is NaN \(row 4\), from that row alone, the other 2 of the batch being sound: .* The last good state is kept in .*checkpoint-5\.$/
        : /^The loss of step 6 is NaN \(rows 17, 4, 8\): usually .* The model has the weights of .*checkpoint-4 again\.$/;
      await refused("a bad row", () => train(each.model, list, { ...options, out }), pattern);
      const step = device.backend === "cpu" ? 5 : 4;
      const good = start({ ...base, weights });
      await trainEpoch(good.model, list, {
        optimizer: good.optimizer,
        maxSteps: step,
        seed: await epochSeed(),
        quiet: true,
      });
      const here = trainableParameters(each.model), there = trainableParameters(good.model);
      for (const [name, tensor] of here) {
        assert.deepEqual(await device.read(tensor), await device.read(there.get(name)!), name);
      }
      if (device.backend !== "cpu") return;
      assert.deepEqual(await bits(each), await bits(good));
      const kept = start({ ...base, weights });
      assert.equal((await resumeTraining(join(out, "checkpoint-5"), kept)).step, 5);
      assert.deepEqual(await bits(kept), await bits(good));
    });
  });
}

/** The seed of a run's first epoch, as the run itself hands it on. */
async function epochSeed(): Promise<number> {
  let first = 0;
  const watched = { ...batches, shuffle: (seed: number) => (first = seed, batches) };
  const each = start(base);
  await train(each.model, watched, { optimizer: each.optimizer, maxSteps: 1, quiet: true });
  return first;
}

Deno.test("weights out of range are told from bad rows, and cost no checkpoint", async () => {
  await inFolder(async (out) => {
    const model = attachLoRA(base, { r: 2, quiet: true }), rates = [1e-3, 1e-3, 1e38, 1e38];
    const optimizer = adamW(model, { learningRate: (step) => rates[step] ?? 1 });
    await refused(
      "a huge rate",
      () => train(model, batches, { optimizer, out, saveSteps: 2, quiet: true }),
      /^The loss of step 4 is (NaN|-?Infinity) \(rows .*\), from every row alone too, so that the weights are out of range: the learning rate is too high, .* The model has the weights of .*checkpoint-2 again\.$/,
    );
    assert.deepEqual(checkpoints(out), ["checkpoint-2"]);
    const saved = await loadAdapter(base, join(out, "checkpoint-2"));
    for (const [name, tensor] of trainableParameters(saved)) {
      assert.deepEqual(trainableParameters(model).get(name)!.storage, tensor.storage, name);
    }
    const stuck = adamW(attachLoRA(base, { r: 2, quiet: true }), { learningRate: 1e-3 });
    const held = {
      ...heldOut,
      *[Symbol.iterator]() {
        yield batchOf([{ inputIds: [1, 500] }]);
      },
    };
    await refused(
      "a held-out id outside",
      () => train(stuck.model, batches, { optimizer: stuck, heldOut: held, evalSteps: 1, quiet: true }),
      /outside the model's vocabulary/,
    );
  });
});
