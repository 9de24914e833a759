// Makes an embedded model, one of those that the examples run on without network: writes its text, trains a tokenizer on
// it, and trains the model from random weights. The same recipe gives the same text, tokenizer and first weights.
//
//   deno run -A examples/pretrain.ts examples/tiny/recipe.ts [--out <folder>] [--tokens 6000000] [--max-steps N]
//
// A further model: a generator of its text (endless, seeded: drawFrom in tiny/random.ts), and a module that exports
// `recipe: EmbeddedModel` (embedded.ts) with that generator as `documents`, a config.json and a folder; tiny/recipe.ts is
// the shortest. `tokenizer` brings other special tokens and the family's chat template, `split` what an encoder reads and
// a decoder writes. Below 1 MB in half precision are about 480,000 parameters; NF4 wants widths that 64 divides. Chinese
// or other text needs nothing more: the tokenizer works on bytes.

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
  showUserErrors,
  trainEpoch,
} from "@fintune/fintune";
import { type EmbeddedModel, embeddedTokenizer, loadRecipe, pretrainingRows } from "./embedded.ts";

/** A document as it is: in plain text nothing is asked. */
const document: Prompt = { name: "text", question: (row) => row.question, answer: (row) => row.answer };

/** Writes into `out` only at the end, so that a broken run leaves the old model alone. */
async function pretrain(
  recipe: EmbeddedModel,
  out: string,
  tokens: number,
  maxSteps?: number,
): Promise<void> {
  const files = embeddedTokenizer(recipe), work = await Deno.makeTempDir();
  await writeFiles(work, files);
  const tokenizer = await loadTokenizer(work);
  await Deno.remove(work, { recursive: true });
  const model = await initModel(parseConfig(recipe.config), { seed: recipe.seed, tokenizer });
  await recipe.begin?.(model);
  await train(model, recipe, tokens, maxSteps);
  await saveModel(model, out, { dtype: "f16", overwrite: true });
  await writeFiles(out, files);
}

async function writeFiles(folder: string, files: Record<string, string>): Promise<void> {
  for (const [name, content] of Object.entries(files)) await Deno.writeTextFile(join(folder, name), content);
}

async function train(model: Model, recipe: EmbeddedModel, tokens: number, maxSteps?: number): Promise<void> {
  const documents = new Dataset(pretrainingRows(recipe, tokens), "the text");
  const completionOnly = recipe.split !== undefined;
  const layout = {
    tokenizer: model.tokenizer,
    prompt: document,
    maxLength: 256,
    batchSize: 16,
    completionOnly,
    decoderStartTokenId: model.config.encoderDecoder?.decoderStartTokenId,
  };
  const batches = packBatches(documents.skip(256), layout),
    heldOut = packBatches(documents.take(256), layout);
  // 64 rows a step in four parts: attention over few packed rows at once takes half the time of all of them together.
  const gradientAccumulationSteps = 4;
  const total = maxSteps ?? Math.ceil(batches.length / gradientAccumulationSteps);
  const learningRate = linearSchedule(recipe.learningRate ?? 3e-3, { warmup: 100, total });
  const optimizer = adamW(model, { learningRate, betas: [0.9, 0.95], weightDecay: 0.05 });
  console.log(`${batches}\nloss before: ${(await evaluateLoss(model, heldOut)).toFixed(3)}`);
  await trainEpoch(model, batches, { optimizer, gradientAccumulationSteps, maxSteps: total });
  console.log(`loss after: ${(await evaluateLoss(model, heldOut)).toFixed(3)}`);
}

if (import.meta.main) {
  showUserErrors();
  const args = parseArgs(Deno.args, { string: ["_", "out", "tokens", "max-steps"] });
  const recipe = await loadRecipe(String(args._[0] ?? "examples/tiny/recipe.ts"));
  const maxSteps = args["max-steps"] ? Number(args["max-steps"]) : undefined;
  await pretrain(recipe, args.out ?? recipe.folder, Number(args.tokens ?? recipe.tokens), maxSteps);
}
