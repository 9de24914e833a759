// Checkpoints: what they restore, what they refuse, and that neither a full disk nor a killed process costs the one before.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { batchOf } from "../lib/data/batch.ts";
import { packBatches } from "../lib/data/pack.ts";
import { openSafetensors, writeSafetensors } from "../lib/formats/safetensors.ts";
import { attachLoRA } from "../lib/lora.ts";
import { loadModel } from "../lib/models/load.ts";
import { chooseCheckpointing } from "../lib/models/memory.ts";
import { trainableParameters } from "../lib/models/model.ts";
import { loadAdapter } from "../lib/peft.ts";
import { readRunLog } from "../lib/report/run_log.ts";
import { adamW } from "../lib/train/adamw.ts";
import { readState, resumeTraining, saveCheckpoint } from "../lib/train/checkpoint.ts";
import { trainEpoch } from "../lib/train/epoch.ts";
import { devices } from "./devices.ts";
import { refused } from "./refused.ts";
import { batches, bits, checkpoints, heldOut, inFolder, loadBase, rows, run, start } from "./runs.ts";

const all = await devices(), [cpu] = all;

for (const device of all) {
  const test = (name: string, body: () => Promise<void>) => Deno.test(`${device.backend}: ${name}`, body);
  const base = await loadBase(device);

  for (const lora of device.backend === "cpu" ? [true, false] : [true]) {
    test(`${lora ? "an adapter" : "every weight"}: stopped after any step and gone on with, the bits are the same`, async () => {
      const maxSteps = device.backend === "cpu" ? 10 : 6, options = { heldOut, evalSteps: 3, maxSteps };
      const whole = start(base, { lora }), report = await run(whole, options);
      const evaluated = report.evaluations.map(({ step }) => step);
      assert.deepEqual([report.steps, report.stopped, evaluated], [
        maxSteps,
        "done",
        [3, 6, 9, 10].filter((step) => step <= maxSteps),
      ]);
      await inFolder(async (folder) => {
        for (const step of device.backend === "cpu" && lora ? [1, 3, 4, 9] : [4]) { // 4: where an epoch ends
          const out = join(folder, `${step}`),
            first = await run(start(base, { lora }), { ...options, out, maxSteps: step });
          assert.equal(first.checkpoint, join(out, `checkpoint-${step}`));
          const second = start(base, { lora }), end = await run(second, { ...options, out, resume: "auto" });
          assert.deepEqual(await bits(second), await bits(whole), `stopped after step ${step}`);
          // The first run has evaluated at its own end besides.
          const evaluations = end.evaluations.filter((each) => each.step !== step || step % 3 === 0);
          assert.deepEqual([end.loss, end.tokens, evaluations], [
            report.loss,
            report.tokens,
            report.evaluations,
          ]);
        }
      });
    });
  }

  test("live buffers stay constant over a run that saves", async () => {
    await inFolder(async (out) => {
      const each = start(base), seen: number[][] = [];
      const onStep = () => {
        const { live, buffers } = device.memory();
        seen.push([live, buffers]);
      };
      const options = {
        out,
        onStep,
        heldOut,
        maxSteps: device.backend === "cpu" ? 24 : 6,
        evalSteps: 5,
        saveSteps: 2,
        checkpointing: true,
      };
      await run(each, options);
      // On a GPU the results of eight steps wait to be read; evaluations and saves read them sooner.
      const after = device.memory();
      const again = start(base), before = device.memory();
      await run(again, { ...options, out: join(out, "again"), maxSteps: 4, onStep: undefined });
      assert.deepEqual([device.memory().live, device.memory().buffers], [before.live, before.buffers]);
      assert.ok(before.buffers > after.buffers, "the second model's own");
      if (device.backend === "cpu") { for (const memory of seen.slice(8)) assert.deepEqual(memory, seen[7]); }
    });
  });
}

const base = await loadBase(cpu);

Deno.test("saveCheckpoint and resumeTraining serve a loop of one's own", async () => {
  await inFolder(async (out) => {
    const whole = start(base), first = start(base), second = start(base), folder = join(out, "c");
    const epoch = (each: typeof whole, skipBatches = 0, maxSteps?: number) =>
      trainEpoch(each.model, batches, {
        optimizer: each.optimizer,
        seed: 4,
        skipBatches,
        maxSteps,
        quiet: true,
      });
    await epoch(whole);
    await epoch(first, 0, 3);
    await saveCheckpoint(folder, { ...first, state: { epoch: 0, batch: 3, seed: 4 } });
    const state = await resumeTraining(folder, second);
    assert.deepEqual([state.step, state.epoch, state.batch, state.seed, second.optimizer.steps], [
      3,
      0,
      3,
      4,
      3,
    ]);
    await epoch(second, state.batch);
    assert.deepEqual(await bits(second), await bits(whole));
    await refused(
      "a folder that is taken",
      () => saveCheckpoint(folder, { ...first, state }),
      /exists already/,
    );
    for (const skipBatches of [-1, 1.5, 8]) {
      await refused(
        "skipBatches",
        () => epoch(second, skipBatches),
        /skipBatches is .* whole number from 0 to 7/,
      );
    }
  });
});

Deno.test("a checkpoint is an adapter's folder, or a model's", async () => {
  await inFolder(async (out) => {
    for (const lora of [true, false]) {
      const each = start(base, { lora }), folder = join(out, `${lora}`);
      await run(each, { out: folder, maxSteps: 2 });
      const path = join(folder, "checkpoint-2");
      const loaded = lora
        ? await loadAdapter(base, path)
        : await loadModel(path, { device: cpu, dtype: "f32" });
      const [saved, here] = [loaded, each.model].map((model) => trainableParameters(model));
      assert.deepEqual([...saved.keys()].sort(), [...here.keys()].sort());
      for (const [name, tensor] of here) assert.deepEqual(saved.get(name)!.storage, tensor.storage, name);
    }
  });
});

Deno.test("a run goes on only with what it was begun with", async () => {
  await inFolder(async (out) => {
    await run(start(base), { out, heldOut, maxSteps: 2 });
    const again = (options: Parameters<typeof run>[1], each = start(base)) =>
      run(each, { out, heldOut, resume: true, ...options });
    const shorter = packBatches(rows.slice(1), { batchSize: 2 }),
      single = packBatches(rows, { batchSize: 1 });
    const changed = packBatches([...rows.slice(1), { inputIds: [1, 2, 3] }], { batchSize: 2 });
    const own = (batches: typeof shorter) => () =>
      import("../lib/train/run.ts").then(({ train }) => {
        const each = start(base);
        return train(each.model, batches, {
          optimizer: each.optimizer,
          seed: 9,
          gradientAccumulationSteps: 2,
          heldOut,
          out,
          resume: true,
          quiet: true,
        });
      });
    const head = /^.*checkpoint-2 belongs to another run: its /.source,
      tail = /\. Give what it had, or begin/.source;
    const says = (text: string) => new RegExp(`${head}${text}${tail}`);
    await refused("fewer rows", own(shorter), says("number of rows is 13, here it is 12"));
    await refused("other batches", own(single), says("batchSize is 2, here it is 1"));
    await refused(
      "other rows",
      own(changed),
      says("hash of the rows' tokens is [0-9a-f]+, here it is [0-9a-f]+"),
    );
    await refused("seed", () => again({ seed: 1 }), says("seed is 9, here it is 1"));
    await refused(
      "accumulation",
      () => again({ gradientAccumulationSteps: 1 }),
      says("gradientAccumulationSteps is 2, here it is 1"),
    );
    await refused(
      "held-out",
      () => again({ heldOut: batches }),
      says("number of held-out rows is 4, here it is 13"),
    );
    const wider = attachLoRA(base, { r: 4, quiet: true }), optimizer = adamW(wider, { learningRate: 1e-3 });
    await refused(
      "rank",
      () => again({}, { model: wider, optimizer }),
      says("adapter is r 2, .*, here it is r 4, .*"),
    );
    const other = start({ ...base, config: { ...base.config, rmsNormEps: 1e-3 } });
    await refused(
      "configuration",
      () => again({}, other),
      says("model configuration is [0-9a-f]+, here it is [0-9a-f]+"),
    );
    const trained = start(base, { lora: false });
    await run(trained, { maxSteps: 2 });
    await refused(
      "base",
      () => again({}, start(trained.model)),
      says("base model .* is [0-9a-f]+, here it is [0-9a-f]+"),
    );
    const good = start(base);
    assert.equal((await again({ maxSteps: 3 }, good)).steps, 3);
  });
});

Deno.test("damaged checkpoints are refused by one sentence, and change nothing", async () => {
  await inFolder(async (out) => {
    await run(start(base), { out, heldOut, maxSteps: 2 });
    const good = join(out, "checkpoint-2"),
      bad = join(out, "bad"),
      each = start(base),
      before = await bits(each);
    const attempt = async (what: string, damage: () => Promise<void>, pattern: RegExp) => {
      await Deno.mkdir(bad);
      for (const { name } of Deno.readDirSync(good)) await Deno.copyFile(join(good, name), join(bad, name));
      await damage();
      await refused(what, () => resumeTraining(bad, each), pattern);
      assert.deepEqual([await bits(each), each.optimizer.steps], [before, 0], what);
      await Deno.remove(bad, { recursive: true });
    };
    const statePath = join(bad, "training_state.json"),
      text = await Deno.readTextFile(join(good, "training_state.json"));
    const state = JSON.parse(text);
    const fields: [string, unknown, RegExp][] = [
      ["step", null, /step is null/], // what JSON makes of NaN
      ["step", -1, /step is -1/],
      ["step", 1.5, /step is 1.5/],
      ["step", "2", /step is "2"/],
      ["step", 1e300, /step is 1e\+300/],
      ["step", 0, /evaluations after step 0/],
      ["epoch", undefined, /epoch is missing/],
      ["batch", [], /batch is \[\]/],
      ["seed", {}, /seed is \{\}/],
      ["totals", null, /totals is null/],
      ["totals", { lossSum: "x" }, /totals: lossSum is "x"/],
      ["evaluations", {}, /evaluations is \{\}/],
      ["evaluations", [{ step: 1, epoch: 1, loss: null }], /evaluations\[0\]: loss is null/],
      ["evaluations", [7], /evaluations\[0\] is 7, no object/],
      ["best", 3, /best is 3, no object/],
      ["withoutImprovement", -2, /withoutImprovement is -2/],
      ["checkpointing", 1, /checkpointing is 1/],
      ["learningRate", "fast", /learningRate is "fast"/],
      ["same", [], /same is \[\]/],
      ["same", { seed: {} }, /seed is \{\}/],
      ["same", {}, /belongs to another run: its model configuration is not told/],
      ["version", 2, /version is 2, this library reads 1/],
    ];
    for (const [name, value, pattern] of fields) {
      const damage = () => Deno.writeTextFile(statePath, JSON.stringify({ ...state, [name]: value }));
      await attempt(`${name} ${JSON.stringify(value)}`, damage, pattern);
    }
    await attempt(
      "half a state",
      () => Deno.writeTextFile(statePath, text.slice(0, text.length / 2)),
      /not valid JSON/,
    );
    await attempt("no object", () => Deno.writeTextFile(statePath, "[]"), /should hold a JSON object/);
    await attempt(
      "no state",
      () => Deno.remove(statePath),
      /training_state.json is missing: .* is no checkpoint/,
    );
    for (const file of ["adapter_model.safetensors", "optimizer.safetensors"]) {
      const path = join(bad, file);
      await attempt(`no ${file}`, () => Deno.remove(path), /does not exist/);
      await attempt(`half of ${file}`, () => Deno.truncate(path, Deno.statSync(path).size / 2), /truncated/);
      for (const [what, change, pattern] of changes) {
        await attempt(`${file}: ${what}`, () => rewrite(path, change), pattern);
      }
    }
    const negative = (data: Float32Array, name: string) => name.endsWith("exp_avg_sq") ? data.fill(-1) : data;
    const path = join(bad, "optimizer.safetensors");
    await attempt(
      "a negative square",
      () => rewrite(path, negative),
      /exp_avg_sq has numbers that no run leaves/,
    );
    assert.equal((await resumeTraining(good, each)).step, 2);
  });
});

type Change = (data: Float32Array, name: string) => Float32Array | undefined;
const changes: [string, Change, RegExp][] = [
  ["NaN", (data) => data.with(3, NaN), /has numbers that no run leaves behind/],
  ["Infinity", (data) => data.with(0, Infinity), /has numbers that no run leaves behind/],
  ["another shape", (data) => data.slice(1), /is F32 \[\d+\], where F32 \[\d+,\d+\] is trained here/],
  ["a tensor too few", (data, name) => name.includes("layers.1.") ? undefined : data, /lacks .*layers\.1\./],
];

/** A safetensors file with other numbers; undefined leaves a tensor out, another length flattens it. */
async function rewrite(path: string, change: Change): Promise<void> {
  const file = await openSafetensors(path), tensors = new Map();
  for (const [name, { dtype, shape }] of file.tensors) {
    const old = new Float32Array((await file.read(name)).buffer), data = change(old, name);
    if (!data) continue;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    tensors.set(name, { dtype, shape: data.length === old.length ? shape : [data.length], data: bytes });
  }
  file.close();
  await writeSafetensors(path, tensors);
}

Deno.test("only leftovers of our own are cleared away, and one process at a time has the folder", async () => {
  await inFolder(async (out) => {
    const left = [".checkpoint-3.0a1b2c3d.tmp", ".checkpoint-12.ffffffff.tmp", "log.jsonl.0a1b2c3d.tmp"];
    const foreign = [
      ".checkpoint-3.tmp",
      ".checkpoint-x.0a1b2c3d.tmp",
      ".notes.0a1b2c3d.tmp",
      "checkpoint-old",
    ];
    for (const name of [...left.slice(0, 2), ...foreign]) await Deno.mkdir(join(out, name));
    await Deno.writeTextFile(join(out, left[2]), "{}");
    await Deno.writeTextFile(join(out, left[0], "adapter_model.safetensors"), "half");
    await Deno.writeTextFile(join(out, ".checkpoint-4.0a1b2c3d.tmp"), "a file");
    await run(start(base), { out, maxSteps: 2 });
    assert.deepEqual(
      Array.from(Deno.readDirSync(out), ({ name }) => name).sort(),
      [...foreign, ".checkpoint-4.0a1b2c3d.tmp", ".lock", "checkpoint-2", "log.jsonl"].sort(),
    );
    const two = await Promise.allSettled([1, 2].map(() => run(start(base), { out: join(out, "b") })));
    const errors = two.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
    assert.equal(errors.length, 1, "whichever came second");
    assert.match(
      errors[0].message,
      /^Another process is training into .*b: let it end, or choose another folder\.$/,
    );
  });
});

Deno.test("resume: true, auto, a path, and what they refuse", async () => {
  await inFolder(async (folder) => {
    const out = join(folder, "out"),
      go = (options: Parameters<typeof run>[1]) => run(start(base), { out, ...options });
    await refused("nothing there", () => go({ resume: true }), /out holds no checkpoint to go on from/);
    await refused("no folder", () => run(start(base), { resume: true }), /resume needs `out`/);
    const broken = { ...heldOut, [Symbol.iterator]: () => assert.fail("a crash") };
    await assert.rejects(go({ resume: "auto", heldOut: broken, evalSteps: 1 }), /a crash/);
    for (const name of checkpoints(out)) await Deno.remove(join(out, name), { recursive: true });
    await refused("a log without a checkpoint", () => go({}), /log\.jsonl holds the log/);
    assert.equal((await go({ resume: "auto", maxSteps: 2, saveSteps: 1 })).steps, 2);
    assert.deepEqual((await readRunLog(join(out, "log.jsonl"))).map(({ step }) => step), [
      0,
      0,
      1,
      1,
      2,
      2,
      2,
    ]);
    await refused("not asked for", () => go({}), /already holds checkpoint-2: go on from it with resume/);
    await refused(
      "an older one",
      () => go({ resume: join(out, "checkpoint-1") }),
      /holds checkpoint-2, which a run from/,
    );
    await refused("none", () => go({ resume: join(out, "checkpoint-7") }), /does not exist/);
    assert.equal((await go({ resume: join(out, "checkpoint-2"), maxSteps: 3 })).steps, 3);
    const elsewhere = await go({ out: join(folder, "b"), resume: join(out, "checkpoint-3"), maxSteps: 4 });
    assert.equal(elsewhere.checkpoint, join(folder, "b", "checkpoint-4"));
    assert.equal((await run(start(base), { resume: join(out, "checkpoint-3"), maxSteps: 4 })).steps, 4);
    const used = start(base);
    await run(used, { maxSteps: 1 });
    await refused("a used optimizer", () => run(used), /has done 1 steps already: a run needs a new one/);
  });
});

/** What is left of a run whose disk is full at step 4: the checkpoint of step 2, whole; and it goes on from there to the same. */
async function assertSurvives(out: string, makeRoom: () => Promise<unknown> | unknown): Promise<void> {
  assert.deepEqual(checkpoints(out), ["checkpoint-2"]);
  assert.equal((await readState(join(out, "checkpoint-2"))).step, 2);
  await makeRoom();
  const whole = start(base), second = start(base);
  await run(whole);
  await run(second, { out, saveSteps: 2, resume: true });
  assert.deepEqual(await bits(second), await bits(whole));
}

const full =
  /^.*checkpoint-4\S* cannot be written: the disk is full, make room on it\. The last good state is kept in .*checkpoint-2\.$/;

for (const device of all) {
  Deno.test(`${device.backend}: a full disk keeps the checkpoint before, and the model's weights (a write that fails)`, async () => {
    await inFolder(async (out) => {
      const base = await loadBase(device), each = start(base), good = start(base);
      const { write } = Deno.FsFile.prototype;
      const onStep = ({ step }: { step: number }) => {
        if (step < 4) return;
        Deno.FsFile.prototype.write = () =>
          Promise.reject(
            Object.assign(new Error("No space left on device (os error 28)"), { code: "ENOSPC" }),
          );
      };
      try {
        await refused("a full disk", () => run(each, { out, saveSteps: 2, onStep }), full);
      } finally {
        Deno.FsFile.prototype.write = write;
      }
      await run(good, { maxSteps: 4 });
      assert.deepEqual(await bits(each), await bits(good));
      if (device.backend === "cpu") await assertSurvives(out, () => {});
    });
  });
}

Deno.test({
  name: "a full disk keeps the checkpoint before (a file system of 256 kB)",
  ignore: !await canMount(),
  async fn() {
    await inFolder(async (folder) => {
      const out = join(folder, "disk"), filler = join(out, "filler");
      await mount(out);
      try {
        const onStep = ({ step }: { step: number }) => {
          if (step !== 4) return;
          using file = Deno.openSync(filler, { write: true, create: true });
          try {
            for (;;) file.writeSync(new Uint8Array(4096));
          } catch { /* until it is full */ }
          file.truncateSync(file.statSync().size - 12288); // room for a part of it
        };
        await refused("a full disk", () => run(start(base), { out, saveSteps: 2, onStep }), full);
        await assertSurvives(out, () => Deno.remove(filler));
      } finally {
        await new Deno.Command("umount", { args: [out] }).output();
      }
    });
  },
});

async function mount(path: string): Promise<boolean> {
  await Deno.mkdir(path);
  const command = new Deno.Command("mount", { args: ["-t", "tmpfs", "-o", "size=256k", "tmpfs", path] });
  return await command.output().then(({ success }) => success, () => false);
}

async function canMount(): Promise<boolean> {
  const folder = await Deno.makeTempDir(), path = join(folder, "disk");
  const mounted = Deno.build.os === "linux" && Deno.uid() === 0 && await mount(path);
  if (mounted) await new Deno.Command("umount", { args: [path] }).output();
  await Deno.remove(folder, { recursive: true });
  return mounted;
}

Deno.test("saving reads one tensor at a time", async () => {
  await inFolder(async (out) => {
    for (const lora of [true, false]) {
      const reads: number[] = [], each = start(base, { lora });
      const device = {
        ...cpu,
        read: (...tensors: Parameters<typeof cpu.read>) => (reads.push(tensors.length), cpu.read(...tensors)),
      };
      const model = { ...each.model, device }, optimizer = { ...each.optimizer, model };
      await saveCheckpoint(join(out, `${lora}`), {
        model,
        optimizer,
        state: { epoch: 0, batch: 0, seed: 0 },
      });
      const trained = trainableParameters(model).size; // each to be checked and written, and its two moments
      assert.ok(reads.length >= 4 * trained && reads.every((count) => count === 1), `${reads}`);
    }
  });
});

Deno.test("recomputing or keeping activations is decided once for a run, whatever memory is free later", async () => {
  await inFolder(async (folder) => {
    const out = join(folder, "out"), whole = start(base), second = start(base);
    assert.equal(chooseCheckpointing(base, 64), false, "memory is free enough to keep them");
    await run(whole, { checkpointing: true });
    await run(start(base), { out, checkpointing: true, maxSteps: 5 });
    await run(second, { out, resume: true });
    assert.equal((await readState(join(out, "checkpoint-10"))).checkpointing, true);
    assert.deepEqual(await bits(second), await bits(whole));
  });
});

Deno.test("weights that are not finite never become a checkpoint", async () => {
  await inFolder(async (out) => {
    const each = start(base), [name, tensor] = [...trainableParameters(each.model)][0];
    (tensor.storage as Float32Array)[0] = NaN;
    const save = () => saveCheckpoint(join(out, "c"), { ...each, state: { epoch: 0, batch: 0, seed: 0 } });
    await refused("NaN", save, /The weights after step 0 are not finite \(.*\) and were not saved/);
    assert.deepEqual([name.includes("lora"), checkpoints(out), batchOf([{ inputIds: [1] }]).tokens], [
      true,
      [],
      1,
    ]);
  });
});
