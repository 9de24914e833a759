// Exported ONNX files run with onnxruntime as Transformers.js feeds them: texts of a batch filled up on the left, positions
// counted from the first real token, caches from the run before.
import type { InferenceSession, Tensor } from "onnxruntime-node";
import { loadOnnxRuntime } from "../lib/engine/onnx/runtime.ts";
import { headName, type Model, type Weight } from "../lib/models/model.ts";
import { type Bits, dequantizeBlocks, quantizeBlocks } from "../lib/engine/onnx/blocks.ts";

type Feeds = Record<string, Tensor>;

const ort = await loadOnnxRuntime();

const whole = (rows: readonly (readonly number[])[]): Tensor =>
  new ort.Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0].length]);

export function openSession(path: string): Promise<InferenceSession> {
  return ort.InferenceSession.create(path, {
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
}

/** Caches with nothing in them, by their names and shapes in the file. */
function emptyCaches(session: InferenceSession, batch: number): Feeds {
  const caches = session.inputMetadata.filter(({ name }) => name.startsWith("past_key_values"));
  return Object.fromEntries(caches.map((meta) => {
    const [, heads, , size] = (meta as { shape: readonly (number | string)[] }).shape;
    return [
      meta.name,
      new ort.Tensor("float32", new Float32Array(0), [batch, Number(heads), 0, Number(size)]),
    ];
  }));
}

const asPast = (outputs: Feeds, keep: (name: string) => boolean): Feeds =>
  Object.fromEntries(
    Object.entries(outputs).filter(([name]) => name.startsWith("present") && keep(name))
      .map(([name, tensor]) => [name.replace("present", "past_key_values"), tensor]),
  );

/** One row's part of logits [batch, tokens, vocabulary]. */
function rowLogits({ data, dims }: Tensor, row: number): Float32Array[] {
  const [, tokens, vocabulary] = dims;
  return Array.from({ length: tokens }, (_, t) => {
    const at = (row * tokens + t) * vocabulary;
    return (data as Float32Array).subarray(at, at + vocabulary);
  });
}

/**
 * Logits after every token of every row, all rows in one batch; the first `split` columns in one run, the others over the
 * cache that it gives.
 */
export async function decoderLogits(
  session: InferenceSession,
  rows: readonly (readonly number[])[],
  split: number,
): Promise<Float32Array[][]> {
  const width = Math.max(...rows.map(({ length }) => length));
  const filled = (row: readonly number[], ids: readonly number[], filler: number) => [
    ...Array.from({ length: width - row.length }, () => filler),
    ...ids,
  ];
  const ids = rows.map((row) => filled(row, row, 0)),
    mask = rows.map((row) => filled(row, row.map(() => 1), 0));
  const positions = rows.map((row) => filled(row, row.map((_, i) => i), 1));
  const found = rows.map((): Float32Array[] => []);
  let past = emptyCaches(session, rows.length);
  for (const [from, to] of [[0, split], [split, width]]) {
    const part = (rows: number[][]) => whole(rows.map((row) => row.slice(from, to)));
    const outputs = await session.run({
      input_ids: part(ids),
      attention_mask: whole(mask.map((row) => row.slice(0, to))),
      position_ids: part(positions),
      ...past,
    });
    rows.forEach((_, i) => found[i].push(...rowLogits(outputs.logits, i)));
    past = asPast(outputs, () => true);
  }
  return found.map((logits, i) => logits.slice(width - rows[i].length));
}

/** Logits after every token of every answer, which have one length; the first token in one run, the others over the cache. */
export async function answerLogits(
  sessions: { encoder: InferenceSession; decoder: InferenceSession },
  questions: readonly (readonly number[])[],
  answers: readonly (readonly number[])[],
): Promise<Float32Array[][]> {
  const width = Math.max(...questions.map(({ length }) => length));
  const filled = questions.map((row) => Array.from({ length: width }, (_, i) => row[i] ?? 0));
  const mask = whole(questions.map((row) => Array.from({ length: width }, (_, i) => Number(i < row.length))));
  const { last_hidden_state } = await sessions.encoder.run({
    input_ids: whole(filled),
    attention_mask: mask,
  });
  const found = answers.map((): Float32Array[] => []);
  let past = emptyCaches(sessions.decoder, questions.length), known: Feeds = {};
  for (const [from, to] of [[0, 1], [1, answers[0].length]]) {
    const outputs = await sessions.decoder.run({
      encoder_attention_mask: mask,
      encoder_hidden_states: last_hidden_state,
      input_ids: whole(answers.map((row) => row.slice(from, to))),
      use_cache_branch: new ort.Tensor("bool", Uint8Array.of(from), [1]),
      ...past,
    });
    answers.forEach((_, i) => found[i].push(...rowLogits(outputs.logits, i)));
    if (from === 0) known = asPast(outputs, (name) => name.includes("encoder"));
    past = { ...asPast(outputs, (name) => name.includes("decoder")), ...known };
  }
  return found;
}

/** The model with its products' weights rounded to so many bits. */
export function roundedToBlocks(model: Model, bits: Bits): Model {
  const weights = new Map(model.weights);
  weights.set("lm_head.weight", weights.get(headName(model))!);
  for (const [name, weight] of weights) {
    if (
      weight.kind !== "dense" || !/(_proj|lm_head|Attention\.[qkvo]|DenseReluDense\.\w+)\.weight$/.test(name)
    ) {
      continue;
    }
    const { shape, storage } = weight.tensor;
    const data = dequantizeBlocks(quantizeBlocks(storage as Float32Array, shape, bits), shape, bits);
    weights.set(name, { kind: "dense", tensor: model.device.upload(data, shape, "f32") } satisfies Weight);
  }
  return { ...model, weights };
}
