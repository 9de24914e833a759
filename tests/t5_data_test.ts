// Rows for an encoder-decoder: the question to the encoder, the answer with EOS to the decoder, each packed for itself.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { batchOf } from "../lib/data/batch.ts";
import { lengthReport } from "../lib/data/lengths.ts";
import { packBatches, padBatches } from "../lib/data/pack.ts";
import { previewBatch, previewRow } from "../lib/data/preview.ts";
import { financeQA, type Prompt } from "../lib/data/prompt.ts";
import { generate } from "../lib/generate/generate.ts";
import { attachLoRA } from "../lib/lora.ts";
import { parseConfig } from "../lib/models/config.ts";
import { initModel } from "../lib/models/init.ts";
import { loadModel } from "../lib/models/load.ts";
import { saveModel } from "../lib/models/save_model.ts";
import { loadTokenizer, type Tokenizer } from "../lib/text/tokenizer.ts";
import { adamW } from "../lib/train/adamw.ts";
import { evaluateLoss, trainEpoch } from "../lib/train/epoch.ts";
import { train } from "../lib/train/run.ts";
import { devices } from "./devices.ts";
import { referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

const [device] = await devices();
const json = {
  model_type: "t5",
  is_encoder_decoder: true,
  vocab_size: 400,
  d_model: 64,
  d_kv: 16,
  d_ff: 64,
  num_layers: 1,
  num_heads: 4,
  feed_forward_proj: "gated-gelu",
  tie_word_embeddings: false,
  decoder_start_token_id: 0,
  pad_token_id: 0,
  eos_token_id: 1,
};

/** A folder with a SentencePiece model of T5's kind and a T5's config.json. */
async function folderOf(): Promise<string> {
  const folder = await Deno.makeTempDir();
  await Deno.copyFile(
    join(referenceFolder("sentencepiece"), "unigram.model"),
    join(folder, "tokenizer.model"),
  );
  await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify(json));
  return folder;
}

async function t5Tokenizer(): Promise<Tokenizer> {
  const folder = await folderOf(), tokenizer = await loadTokenizer(folder);
  await Deno.remove(folder, { recursive: true });
  return tokenizer!;
}

const rows = [
  { instruction: "What is a bond?", output: "A loan." },
  { instruction: "What is a share?", output: "A part of a company, which votes." },
  { instruction: "Rate?", output: "The price of a loan." },
];
const tokenizer = await t5Tokenizer();

Deno.test("question and EOS to the encoder, answer and EOS to the decoder", () => {
  const batches = packBatches(rows, { tokenizer, prompt: financeQA, batchSize: 2 });
  assert.equal(batches.decoderStartTokenId, 0);
  const expected = rows.map((row) => ({
    inputIds: tokenizer.encode(financeQA.question(row)),
    labels: [...tokenizer.encode(row.output, { addSpecialTokens: false }), 1],
  }));
  assert.ok(expected.every(({ inputIds }) => inputIds.at(-1) === 1));
  assert.deepEqual(
    Array.from(
      batches.examples,
      ({ inputIds, labels }) => ({ inputIds: [...inputIds], labels: [...labels] }),
    ),
    expected,
  );
  const [first] = batches, alone = batchOf(expected.slice(0, 2), { decoderStartTokenId: 0 });
  assert.deepEqual(first, alone);
  const [padded] = padBatches(rows, { tokenizer, prompt: financeQA, batchSize: 2 });
  assert.deepEqual(padded, batchOf(expected.slice(0, 2), { layout: "padded", decoderStartTokenId: 0 }));
  const all = expected.flatMap(({ inputIds, labels }) => [...inputIds, ...labels]).length;
  assert.equal(batches.tokens, all);
  assert.equal([...batches.shuffle(3)].reduce((sum, { tokens }) => sum + tokens, 0), all);
});

Deno.test("the answers' positions see themselves and their question", () => {
  const pairs = [{ inputIds: [5, 6, 1], labels: [7, 8, 1] }, { inputIds: [9, 1], labels: [-100, 3] }];
  const { decoder, ranges, targetIndex, targetIds } = batchOf(pairs, { decoderStartTokenId: 0 });
  assert.deepEqual([...ranges.subarray(0, 10)], [0, 3, 0, 3, 0, 3, 3, 5, 3, 5]);
  assert.deepEqual([...decoder!.inputIds.subarray(0, 5)], [0, 7, 8, 0, 0]);
  assert.deepEqual([...decoder!.ranges.subarray(0, 10)], [0, 1, 0, 2, 0, 3, 3, 4, 3, 5]);
  assert.deepEqual([...decoder!.memoryRanges.subarray(0, 10)], [0, 3, 0, 3, 0, 3, 3, 5, 3, 5]);
  assert.deepEqual([[...targetIndex], [...targetIds]], [[0, 1, 2, 4], [7, 8, 1, 3]]);
});

Deno.test("long questions are cut before their EOS, answers at a length of their own; the cache gives the same", async () => {
  const cache = await Deno.makeTempDir();
  const options = { tokenizer, prompt: financeQA, maxLength: 8, maxTargetLength: 5, cache };
  const whole = packBatches(rows, { tokenizer, prompt: financeQA });
  const cut = packBatches(rows, options);
  assert.equal(cut.truncated, 3);
  for (const [i, { inputIds, labels }] of [...cut.examples].entries()) {
    const uncut = whole.examples.at(i);
    assert.deepEqual([...inputIds], [...uncut.inputIds.subarray(0, 7), 1]);
    assert.deepEqual([...labels], [...uncut.labels.subarray(0, 5)]);
  }
  const again = packBatches(rows, options);
  assert.equal(again.cached, 3);
  assert.deepEqual([...again], [...cut]);
  assert.equal(packBatches(rows, { ...options, maxTargetLength: 6 }).cached, 0);
  await Deno.remove(cache, { recursive: true });
});

Deno.test("previews show questions as read and answers as trained", () => {
  const row = rows[0], options = { tokenizer, prompt: financeQA };
  const shown = previewRow(row, options).toString();
  assert.match(shown, /uestion: What is a bond\?.*\[\+ ?A loan\.<\/s>\+\]/s);
  const [batch] = packBatches([row], options);
  assert.equal(previewBatch(batch, tokenizer).toString(), shown);
});

Deno.test("what makes no pairs is refused", async () => {
  const text: Prompt = { name: "text", question: () => "", answer: (row) => row.text };
  await refused(
    "a text",
    () => packBatches([{ text: "Profit fell." }], { tokenizer, prompt: text }),
    /row 0.*one text/,
  );
  const { decoderStartTokenId: _, ...decoders } = tokenizer;
  const asDecoder = packBatches(rows, { tokenizer: decoders, prompt: financeQA });
  const model = attachLoRA(await initModel(parseConfig(json), { device }), { quiet: true });
  await refused(
    "batches for a decoder",
    () => evaluateLoss(model, asDecoder),
    /encoder and a decoder.*laid out for a decoder/,
  );
  const optimizer = adamW(model, { learningRate: 1e-3 });
  await refused(
    "training on them",
    () => trainEpoch(model, asDecoder, { optimizer, quiet: true }),
    /laid out for a decoder/,
  );
  await refused(
    "maxTargetLength",
    () => packBatches(rows, { tokenizer: decoders, prompt: financeQA, maxTargetLength: 9 }),
    /encoder-decoders/,
  );
  await refused("lengths", () => lengthReport(rows, { tokenizer, prompt: financeQA }), /lengthReport/);
  await refused(
    "no labels",
    () => packBatches([{ inputIds: [5] }], { decoderStartTokenId: 0 }),
    /row 0.*needs labels/,
  );
});

Deno.test("a T5 from nothing: trained whole, saved, loaded, tuned and asked in text", async () => {
  const folder = await folderOf();
  const fresh = await initModel(parseConfig(json), { device, seed: 2, tokenizer });
  const batches = packBatches(rows, { tokenizer: fresh.tokenizer, prompt: financeQA });
  const before = await evaluateLoss(fresh, batches);
  const optimizer = adamW(fresh, { learningRate: 1e-2 });
  for (let epoch = 0; epoch < 30; epoch++) await trainEpoch(fresh, batches, { optimizer, quiet: true });
  const after = await evaluateLoss(fresh, batches);
  assert.ok(after < 1 && before > 5, `${before} -> ${after}`);
  await saveModel(fresh, folder, { overwrite: true });
  const loaded = await loadModel(folder, { device });
  assert.equal(await evaluateLoss(loaded, batches), after);
  const { decoder_start_token_id } = JSON.parse(
    await Deno.readTextFile(join(folder, "generation_config.json")),
  );
  assert.equal(decoder_start_token_id, 0);
  const saved = JSON.parse(await Deno.readTextFile(join(folder, "config.json")));
  assert.equal(saved.initializer_factor, undefined); // a whole number there is more than Transformers takes

  const model = attachLoRA(loaded, { r: 4, targetModules: ["q", "v", "o"], quiet: true });
  await train(model, batches, { optimizer: adamW(model, { learningRate: 1e-2 }), epochs: 10, quiet: true });
  assert.ok(await evaluateLoss(model, batches) < after);
  const questions = rows.map((row) => financeQA.question(row));
  assert.deepEqual(await generate(model, questions, { maxNewTokens: 30 }), rows.map(({ output }) => output));
  assert.deepEqual(
    await generate(model, questions, { maxNewTokens: 30, numBeams: 3 }),
    rows.map(({ output }) => output),
  );
  await Deno.remove(folder, { recursive: true });
});
