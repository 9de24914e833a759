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
  initModel,
  linearSchedule,
  loadTokenizer,
  type Model,
  packBatches,
  parseConfig,
  type Prompt,
  saveModel,
  trainEpoch,
} from "@fintune/fintune";
import { charactersPerToken, textSeed, tinyConfig, tinyTokenizerFiles } from "./tiny/recipe.ts";
import { takeText } from "./tiny/text.ts";

/** A document as it is: nothing is asked and nothing is answered. */
const plainText: Prompt = { name: "plain text", question: () => "", answer: (row) => row.text };

/** Writes into `out` only at the end, so that a broken run leaves the old model alone. */
async function pretrain(out: string, tokens: number, maxSteps?: number): Promise<void> {
  const files = tinyTokenizerFiles(), work = await Deno.makeTempDir();
  await writeFiles(work, files);
  const tokenizer = await loadTokenizer(work);
  await Deno.remove(work, { recursive: true });
  const model = await initModel(parseConfig(tinyConfig), { seed: textSeed, tokenizer });
  await train(model, tokens, maxSteps);
  await saveModel(model, out, { dtype: "float16", overwrite: true });
  await writeFiles(out, files);
}

async function writeFiles(folder: string, files: Record<string, string>): Promise<void> {
  for (const [name, content] of Object.entries(files)) await Deno.writeTextFile(join(folder, name), content);
}

async function train(model: Model, tokens: number, maxSteps?: number): Promise<void> {
  const texts = takeText(textSeed, tokens * charactersPerToken).map((text) => ({ text }));
  const documents = new Dataset(texts, "the finance text");
  const layout = { tokenizer: model.tokenizer, prompt: plainText, maxLength: 256, batchSize: 16 };
  const batches = packBatches(documents.skip(256), layout),
    heldOut = packBatches(documents.take(256), layout);
  // 64 rows a step in four parts: attention over few packed rows at once takes half the time of all of them together.
  const gradientAccumulationSteps = 4;
  const total = maxSteps ?? Math.ceil(batches.length / gradientAccumulationSteps);
  const learningRate = linearSchedule(3e-3, { warmup: 100, total });
  const optimizer = adamW(model, { learningRate, betas: [0.9, 0.95], weightDecay: 0.05 });
  console.log(`${batches}\nloss before: ${(await evaluateLoss(model, heldOut)).toFixed(3)}`);
  await trainEpoch(model, batches, { optimizer, gradientAccumulationSteps, maxSteps: total });
  console.log(`loss after: ${(await evaluateLoss(model, heldOut)).toFixed(3)}`);
}

if (import.meta.main) {
  const args = parseArgs(Deno.args, {
    string: ["out", "tokens", "max-steps"],
    default: { out: "examples/tiny/model", tokens: "6000000" },
  });
  await pretrain(args.out, Number(args.tokens), args["max-steps"] ? Number(args["max-steps"]) : undefined);
}
