// Makes the tiny model that the examples run on without network: writes finance text, trains a tokenizer on it, and
// trains a small Llama from random weights. The same seed gives the same text, tokenizer and first weights.
//
//   deno run -A examples/pretrain_tiny.ts [--out examples/tiny/model] [--tokens 6000000] [--max-steps N]

import { parseArgs } from "@std/cli";
import { join } from "@std/path";
import {
  adamW,
  Dataset,
  evaluateLoss,
  linearSchedule,
  loadModel,
  type Model,
  packBatches,
  type Prompt,
  trainEpoch,
} from "@fintune/fintune";
import { writeFileAtomic } from "../lib/formats/atomic.ts";
import { type TensorData, toFloat16, writeSafetensors } from "../lib/formats/safetensors.ts";
import { parameterShapes, parseConfig } from "../lib/models/config.ts";
import { drawFrom, type Random } from "./tiny/random.ts";
import { charactersPerToken, textSeed, tinyConfig, tinyTokenizerFiles } from "./tiny/recipe.ts";
import { takeText } from "./tiny/text.ts";

/** A document as it is: nothing is asked and nothing is answered. */
const plainText: Prompt = { name: "plain text", question: () => "", answer: (row) => row.text };

/** Trains in a temporary folder and writes the model's folder at the end, so that a broken run leaves the old one alone. */
async function pretrain(out: string, tokens: number, maxSteps?: number): Promise<void> {
  const work = await Deno.makeTempDir({ prefix: "pretrain_tiny_" });
  try {
    const files = { ...tinyTokenizerFiles(), ...configFiles() };
    await writeTexts(work, files);
    await writeRandomWeights(work, drawFrom(textSeed));
    const model = await loadModel(work);
    await train(model, tokens, maxSteps);
    await Deno.mkdir(out, { recursive: true });
    await writeTexts(out, files);
    await writeTrainedWeights(out, model);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

async function train(model: Model, tokens: number, maxSteps?: number): Promise<void> {
  const texts = takeText(textSeed, tokens * charactersPerToken).map((text) => ({ text }));
  const documents = new Dataset(texts, "the finance text");
  const layout = { tokenizer: model.tokenizer, prompt: plainText, maxLength: 256, batchSize: 16 };
  const batches = packBatches(documents.skip(256), layout),
    heldOut = packBatches(documents.take(256), layout);
  const gradientAccumulationSteps = 4;
  const total = maxSteps ?? Math.ceil(batches.length / gradientAccumulationSteps);
  const learningRate = linearSchedule(3e-3, { warmup: 100, total });
  const optimizer = adamW(model, { learningRate, betas: [0.9, 0.95], weightDecay: 0.05 });
  console.log(`${batches}\nloss before: ${(await evaluateLoss(model, heldOut)).toFixed(3)}`);
  await trainEpoch(model, batches, { optimizer, gradientAccumulationSteps, maxSteps: total });
  console.log(`loss after: ${(await evaluateLoss(model, heldOut)).toFixed(3)}`);
}

function configFiles(): Record<string, string> {
  const { bos_token_id, eos_token_id, pad_token_id } = tinyConfig;
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  return {
    "config.json": json(tinyConfig),
    "generation_config.json": json({ bos_token_id, eos_token_id, pad_token_id }),
  };
}

async function writeTexts(folder: string, files: Record<string, string>): Promise<void> {
  for (const [name, content] of Object.entries(files)) await writeFileAtomic(join(folder, name), content);
}

/** Normal numbers of standard deviation `initializer_range`; norms begin at one. */
async function writeRandomWeights(folder: string, random: Random): Promise<void> {
  const normal = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  const tensors = [...parameterShapes(parseConfig(tinyConfig))].map(([name, shape]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const value = shape.length === 1 ? () => 1 : () => tinyConfig.initializer_range * normal();
    const data = new Uint8Array(Float32Array.from({ length: size }, value).buffer);
    return [name, { dtype: "F32" as const, shape, data }] as const;
  });
  await writeSafetensors(join(folder, "model.safetensors"), new Map(tensors));
}

async function writeTrainedWeights(folder: string, { weights, device }: Model): Promise<void> {
  const tensors = new Map<string, TensorData>();
  for (const [name, weight] of weights) {
    if (weight.kind !== "dense") throw new Error(`${name} is quantised`);
    const [data] = await device.read(weight.tensor);
    const bytes = toFloat16(data as Float32Array);
    tensors.set(name, { dtype: "F16", shape: weight.tensor.shape, data: bytes });
  }
  await writeSafetensors(join(folder, "model.safetensors"), tensors, { format: "pt" });
}

if (import.meta.main) {
  const args = parseArgs(Deno.args, {
    string: ["out", "tokens", "max-steps"],
    default: { out: "examples/tiny/model", tokens: "6000000" },
  });
  await pretrain(args.out, Number(args.tokens), args["max-steps"] ? Number(args["max-steps"]) : undefined);
}
