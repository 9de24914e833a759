// NEFTune (Jain et al. 2023, arXiv:2310.05914): while training, the embeddings carry noise.
import type { Batch } from "../data/batch.ts";
import { lowbias32 } from "../engine/ops/dropout.ts";
import type { ModelConfig } from "../models/config.ts";
import { type DropoutKey, tokenKeys } from "./inputs.ts";

/** So that the noise's bits are none of dropout's. */
const own = 0x6e656674;

/**
 * Uniform in +-alpha / sqrt(length * width), row by row: f32[tokens * hiddenSize]. As in the paper the length is the row's own,
 * which makes packed and padded batches the same (Transformers takes the padded length). The bits come from counters, as
 * dropout's: the same wherever a row lies, and again when a run goes on.
 */
export function embeddingNoise(
  { hiddenSize, embeddingScale }: Pick<ModelConfig, "hiddenSize" | "embeddingScale">,
  batch: Pick<Batch, "rowOf" | "positions">,
  { alpha, key }: { alpha: number; key: DropoutKey },
): Float32Array {
  const { rowOf, positions } = batch, tokens = rowOf.length;
  const noise = new Float32Array(tokens * hiddenSize), keys = tokenKeys(batch, key);
  for (let start = 0, end; start < tokens; start = end) {
    for (end = start + 1; end < tokens && rowOf[end] === rowOf[start] && positions[end] > 0;) end++;
    if (rowOf[start] < 0) continue; // padding
    // Gemma's noise comes before its embeddings are scaled.
    const most = embeddingScale * alpha / Math.sqrt((end - start) * hiddenSize);
    for (let t = start; t < end; t++) {
      const token = lowbias32(keys[t] ^ own);
      for (let c = 0, at = t * hiddenSize; c < hiddenSize; c++, at++) {
        noise[at] = most * (lowbias32(token + Math.imul(c, 0x9e3779b9)) / 2 ** 31 - 1);
      }
    }
  }
  return noise;
}
