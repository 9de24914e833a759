// Options, rows and batches that cannot be: one clear sentence (a UserError), never a crash.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { batchOf } from "../lib/data/batch.ts";
import { Dataset } from "../lib/data/dataset.ts";
import { loadDataset } from "../lib/data/load.ts";
import { packBatches } from "../lib/data/pack.ts";
import { financeQA } from "../lib/data/prompt.ts";
import { openDevice } from "../lib/engine/open.ts";
import { generate } from "../lib/generate/generate.ts";
import { attachLoRA, type LoRAOptions } from "../lib/lora.ts";
import { rougeScore } from "../lib/metrics/rouge.ts";
import { checkHeadSize, loadModel } from "../lib/models/load.ts";
import { loadTokenizer } from "../lib/text/tokenizer.ts";
import { adamW, type AdamWOptions } from "../lib/train/adamw.ts";
import { evaluateLoss, trainEpoch } from "../lib/train/epoch.ts";
import { gradients, logits } from "../lib/train/inspect.ts";
import { referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

const device = await openDevice({ backend: "cpu" });
const tied = join(referenceFolder("llama_tied"), "model");
const base = await loadModel(tied, { device });
const tuned = attachLoRA(base, { r: 2, quiet: true });
const tokenizer = (await loadTokenizer(referenceFolder("tiny_tokenizer")))!;

Deno.test("LoRA's options", async () => {
  const cases: [LoRAOptions, RegExp][] = [
    [{ r: 0 }, /rank r must be a whole number from 1 on, not 0/],
    [{ r: 2.5 }, /not 2\.5/],
    [
      { targetModules: ["query"] },
      /target module "query" names no linear layer of this model, which has q_proj/,
    ],
    [{ targetModules: [] }, /at least one target module/],
    [{ targetModules: ["lm_head"] }, /lm_head is not supported/],
    [{ alpha: 0 }, /alpha is 0/],
    [{ dropout: 1 }, /dropout is 1/],
  ];
  for (const [options, pattern] of cases) {
    await refused(JSON.stringify(options), () => attachLoRA(base, options), pattern);
  }
  await refused("taken", () => attachLoRA(tuned, { r: 2 }), /already has an adapter "default"/);
});

Deno.test("rows: none, without the field, or nothing of the answer left", async () => {
  const pack = (rows: Record<string, unknown>[], options = {}) =>
    packBatches(new Dataset(rows, "rows"), { tokenizer, prompt: financeQA, ...options });
  const row = { instruction: "What is a bond?", output: "A loan to a company or a state." };
  await refused("no rows", () => pack([]), /no rows/);
  await refused("no field", () => pack([row, { instruction: "What is a share?" }]), /row 1.*output/);
  const onlyAnswers = { completionOnly: true, maxLength: 4 };
  await refused(
    "questions fill the window",
    () => pack([row, row], onlyAnswers),
    /questions alone fill it; raise maxLength/,
  );
  const filled = pack([row, row], { maxLength: 12 });
  assert.deepEqual(
    [filled.truncated, filled.dropped],
    [2, 0],
    "an answer beyond the window is cut, and counted",
  );
  assert.match(String(filled), /2 rows cut at 12 tokens/);
  const folder = await Deno.makeTempDir();
  for (const [name, content] of [["a.json", "[]"], ["a.jsonl", "\n"], ["a.csv", "question,answer\n"]]) {
    await Deno.writeTextFile(join(folder, name), content);
    await refused(name, () => loadDataset(join(folder, name)), /holds no rows/);
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("batches that do not fit the model", async () => {
  const optimizer = adamW(tuned, { learningRate: 1e-3 });
  const cases: [{ inputIds: number[]; labels?: number[] }, RegExp][] = [
    [{ inputIds: [1, 120] }, /Token id 120 at position 1 is outside the model's vocabulary of 120/],
    [{ inputIds: [1, 5], labels: [1, 120] }, /label 120 .*outside the model's vocabulary/],
    [{ inputIds: [1, 5], labels: [-100, -100] }, /rows 0 has no trained token/],
    [{ inputIds: [1] }, /rows 0 has no trained token/],
  ];
  for (const [row, pattern] of cases) {
    const batch = batchOf([row]);
    await refused("gradients", () => gradients(tuned, batch), pattern);
    await refused("training", () => trainEpoch(tuned, [batch], { optimizer, quiet: true }), pattern);
    await refused("evaluation", () => evaluateLoss(tuned, [batch]), pattern);
  }
  for (const ids of [[1, 120], [-1], [0.5], []]) {
    await refused(`logits of ${ids}`, () => logits(base, ids), /token id/i);
  }
  await refused("no batches", () => trainEpoch(tuned, [], { optimizer }), /no batches to train on/);
  await refused("no batches", () => evaluateLoss(tuned, []), /no trained position/);
});

// As a notebook calls them, where nobody checks types.
Deno.test("a forgotten await, a missing argument, rows where batches are wanted", async () => {
  // deno-lint-ignore no-explicit-any
  const anything = (value: unknown) => value as any;
  const later = anything(Promise.resolve(base)), nothing = anything(undefined);
  const rows = new Dataset([{ instruction: "a", output: "b" }]),
    batch = batchOf([{ inputIds: [1, 5, 6, 2] }]);
  const optimizer = adamW(tuned, { learningRate: 1e-3 });
  const cases: [string, () => unknown, RegExp][] = [
    [
      "loadDataset",
      () => loadDataset(nothing),
      /loadDataset needs a file, folder, glob or URL as text, not undefined/,
    ],
    ["loadModel", () => loadModel(nothing), /loadModel needs a folder .* not undefined/],
    ["loadTokenizer", () => loadTokenizer(anything(3)), /loadTokenizer needs a folder .* not 3/],
    ["attachLoRA", () => attachLoRA(later), /attachLoRA needs a model, .* not a promise \(put "await"/],
    ["adamW", () => adamW(later, { learningRate: 1 }), /not a promise/],
    ["no options", () => adamW(tuned, nothing), /adamW needs options with learningRate/],
    [
      "no optimizer",
      () => trainEpoch(tuned, [batch], anything({})),
      /trainEpoch needs options with optimizer/,
    ],
    [
      "a batch",
      () => trainEpoch(tuned, anything(batch), { optimizer }),
      /not a single one \(put it in a list\)/,
    ],
    ["rows", () => trainEpoch(tuned, anything(rows), { optimizer }), /needs batches, .* not a Dataset/],
    ["evaluateLoss", () => evaluateLoss(tuned, nothing), /evaluateLoss needs batches, .* not undefined/],
    ["generate", () => generate(later, "What is a bond?"), /generate needs a model, .* not a promise/],
    ["no prompt", () => generate(base, nothing), /generate needs a prompt, .* not undefined/],
    [
      "rougeScore",
      () => rougeScore(anything("a bond"), ["a"]),
      /needs predictions as a list of texts, not "a bond"/,
    ],
  ];
  for (const [what, action, pattern] of cases) await refused(what, action, pattern);
});

Deno.test("heads that WebGPU's attention has no kernel for", async () => {
  const config = (headDim: number) => ({ ...base.config, headDim });
  const gpu = { ...device, backend: "webgpu" as const };
  for (const headDim of [18, 260]) {
    await refused(`${headDim}`, () => checkHeadSize("m", config(headDim), gpu), /multiple of 4, at most 256/);
    checkHeadSize("m", config(headDim), device);
  }
  checkHeadSize("m", config(256), gpu);
});

Deno.test("training options", async () => {
  const batches = [batchOf([{ inputIds: [1, 5, 6, 2] }]), batchOf([{ inputIds: [1, 7, 2] }])];
  const options: [Partial<AdamWOptions>, RegExp][] = [
    [{ learningRate: -1 }, /learningRate is -1/],
    [{ learningRate: NaN }, /learningRate is NaN/],
    [{ learningRate: undefined }, /learningRate is undefined/],
    [{ betas: [0.9, 1] }, /betas are 0\.9,1/],
    [{ eps: 0 }, /eps is 0/],
    [{ weightDecay: -1 }, /weightDecay is -1/],
  ];
  for (const [option, pattern] of options) {
    await refused(
      Object.keys(option)[0],
      () => adamW(tuned, { learningRate: 1, ...option } as AdamWOptions),
      pattern,
    );
  }
  const train = (learningRate: number, more = {}) => {
    const model = attachLoRA(base, { r: 2, quiet: true });
    return trainEpoch(model, batches, { optimizer: adamW(model, { learningRate }), quiet: true, ...more });
  };
  await refused(
    "accumulation",
    () => train(1e-3, { gradientAccumulationSteps: 0 }),
    /gradientAccumulationSteps is 0/,
  );
  await refused("clipping", () => train(1e-3, { maxGradNorm: -1 }), /maxGradNorm is -1/);
  await refused("divergence", () => train(1e38), /loss of step 2 is NaN \(rows? 0\).*learning rate/);
  const other = adamW(attachLoRA(base, { r: 2, quiet: true }), { learningRate: 1 });
  await refused(
    "other model",
    () => trainEpoch(tuned, batches, { optimizer: other }),
    /made for another model/,
  );
  const quantised = await loadModel(join(referenceFolder("llama_nf4"), "model"), { device });
  const message = /Quantised weights cannot be trained themselves: attach a LoRA adapter/;
  await refused("NF4 base", () => adamW(quantised, { learningRate: 1 }), message);
  await refused("NF4 base", () => gradients(quantised, batches[0]), message);
  await refused(
    "quantize",
    () => loadModel(tied, { device, quantize: "int4" as "nf4" }),
    /quantize is "int4"; only "nf4"/,
  );
});
