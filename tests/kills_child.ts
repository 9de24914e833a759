// The run that kills.ts kills: NF4, dropout, accumulation, three epochs, evaluation, early stopping. It tells on standard output
// which phase it is in, through wrappers around what it is given (rows, optimizer) and around Deno's file functions.
//   kills_child.ts FOLDER [--slow]     --slow: every phase of a save takes some milliseconds, so that a kill can meet it
import { basename } from "@std/path";
import { packBatches } from "../lib/data/pack.ts";
import type { Batches } from "../lib/data/pack.ts";
import { openDevice } from "../lib/engine/open.ts";
import { attachLoRA } from "../lib/lora.ts";
import { loadModel } from "../lib/models/load.ts";
import { saveAdapter } from "../lib/peft.ts";
import { quantizeNF4 } from "../lib/quantize/quantize.ts";
import { adamW, type Optimizer } from "../lib/train/adamw.ts";
import { train } from "../lib/train/run.ts";
import { cosineSchedule } from "../lib/train/schedule.ts";
import { referenceFolder } from "./references.ts";

const [out, slow] = Deno.args;
const encoder = new TextEncoder();
/** One write a line: it is in the pipe whatever happens next. */
const phase = (name: string) => void Deno.stdout.writeSync(encoder.encode(`${name}\n`));
const stretch = async () => {
  if (slow) await new Promise((resolve) => setTimeout(resolve, 1 + 4 * Math.random()));
};

function tellSaves(): void {
  const { mkdir, rename, remove } = Deno, sync = Deno.FsFile.prototype.sync;
  const isCheckpoint = (path: string | URL) => /^checkpoint-\d+$/.test(basename(`${path}`));
  const isTemporary = (path: string | URL) => /^\.checkpoint-\d+\..*\.tmp$/.test(basename(`${path}`));
  let saving = false, renamed = false;
  Deno.mkdir = async (path, options) => {
    if (isTemporary(path)) saving = true, phase("save: write temporary files"), await stretch();
    return await mkdir(path, options);
  };
  Deno.FsFile.prototype.sync = async function () {
    if (!saving) return await sync.call(this);
    phase("save: fsync");
    await stretch();
    await sync.call(this);
    await stretch();
    if (renamed) saving = renamed = false;
    phase(saving ? "save: write temporary files" : "between steps");
    await stretch();
  };
  Deno.rename = async (from, to) => {
    const [places, prunes] = [isCheckpoint(to), isCheckpoint(from)];
    if (places) phase("save: rename");
    if (prunes) phase("save: prune");
    if (places || prunes) await stretch();
    await rename(from, to);
    if (places || prunes) await stretch();
    if (places) renamed = true;
  };
  Deno.remove = async (path, options) => {
    await remove(path, options);
    if (isTemporary(path)) await stretch(), phase("between steps");
  };
}

/** The same batches; each tells when it is taken. */
const telling = (batches: Batches, name: string): Batches => ({
  ...batches,
  shuffle: (seed) => telling(batches.shuffle(seed), name),
  *[Symbol.iterator]() {
    for (const batch of batches) {
      phase(name);
      yield batch;
    }
  },
});

const tellingOptimizer = (inner: Optimizer): Optimizer => ({
  model: inner.model,
  moments: inner.moments,
  get steps() {
    return inner.steps;
  },
  learningRate: () => inner.learningRate(),
  restore: (steps) => inner.restore(steps),
  free: () => inner.free(),
  async step(gradients, maxGradNorm) {
    phase("optimizer");
    const norm = await inner.step(gradients, maxGradNorm);
    phase("between steps");
    return norm;
  },
});

phase("load");
tellSaves();
const device = await openDevice({ backend: "cpu", threads: 1 });
const base = await loadModel(`${referenceFolder("llama_tied")}/model`, { device });
const model = attachLoRA(await quantizeNF4(base, { doubleQuant: true }), {
  r: 4,
  dropout: 0.1,
  targetModules: "all-linear",
  seed: 1,
  quiet: true,
});
/** The held-out rows follow the others for 30 of 48 steps: early stopping ends the run at step 45. */
const row = (i: number) => ({
  inputIds: Array.from({ length: 6 + i % 9 }, (_, k) => (7 * i + 3 * k * k) % 110 + 3),
});
const rows = Array.from({ length: 23 }, (_, i) => row(i)), others = [30, 31, 32].map(row);
const report = await train(model, telling(packBatches(rows, { batchSize: 2 }), "forward and backward"), {
  optimizer: tellingOptimizer(adamW(model, { learningRate: cosineSchedule(0.03, { total: 60, warmup: 4 }) })),
  seed: 5,
  epochs: 8,
  gradientAccumulationSteps: 2,
  heldOut: telling(packBatches(others, { batchSize: 1 }), "evaluation"),
  evalSteps: 5,
  earlyStoppingPatience: 3,
  loadBestModelAtEnd: true,
  out,
  saveSteps: 3,
  saveTotalLimit: 2,
  resume: "auto",
  quiet: true,
});
phase("after the run");
await saveAdapter(model, `${out}/final`, { overwrite: true });
phase(`end ${JSON.stringify({ stopped: report.stopped, steps: report.steps, best: report.best?.step })}`);
