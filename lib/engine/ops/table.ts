// All ops of the library, for the tests that go over them. An op that lacks a rule does not type-check.
import type { OpDefinition } from "../graph.ts";
import { adamwOp } from "./adamw.ts";
import { addOp } from "./add.ts";
import { addBiasOp, sumRowsOp } from "./add_bias.ts";
import { appendTokenOp } from "./append_token.ts";
import { attentionBiasGradOp, attentionGradOp, attentionOp } from "./attention.ts";
import { cachedAttentionOp } from "./cached_attention.ts";
import { doraScaleOp } from "./dora_scale.ts";
import { dropoutOp } from "./dropout.ts";
import { embeddingGradOp, embeddingOp } from "./embedding.ts";
import { gatedActivationGradOp, gatedActivationOp } from "./gated_activation.ts";
import { gatherRowsOp, scatterRowsOp } from "./gather_rows.ts";
import { linearCrossEntropyOp } from "./linear_cross_entropy.ts";
import { matmulOp } from "./matmul.ts";
import { matmulNF4Op } from "./matmul_nf4.ts";
import { nestedAbsmaxOp } from "./nested_absmax.ts";
import { pickTokenOp } from "./pick_token.ts";
import { rmsNormGradOp, rmsNormOp } from "./rms_norm.ts";
import { ropeOp } from "./rope.ts";
import { scaleByOp } from "./scale_by.ts";
import { columnDotsOp, scaleColumnsOp } from "./scale_columns.ts";
import { sumSquaresOp } from "./sum_squares.ts";
import { writeCacheOp } from "./write_cache.ts";

const names = [
  "adamw",
  "add",
  "addBias",
  "appendToken",
  "attention",
  "attentionGrad",
  "attentionBiasGrad",
  "cachedAttention",
  "columnDots",
  "doraScale",
  "dropout",
  "embedding",
  "embeddingGrad",
  "gatedActivation",
  "gatedActivationGrad",
  "gatherRows",
  "linearCrossEntropy",
  "matmul",
  "matmulNF4",
  "nestedAbsmax",
  "pickToken",
  "rmsNorm",
  "rmsNormGrad",
  "rope",
  "scaleBy",
  "scaleColumns",
  "scatterRows",
  "sumRows",
  "sumSquares",
  "writeCache",
] as const;
export type OpName = typeof names[number];

// deno-lint-ignore no-explicit-any
export const ops: { readonly [K in OpName]: OpDefinition<any> } = {
  adamw: adamwOp,
  add: addOp,
  addBias: addBiasOp,
  appendToken: appendTokenOp,
  attention: attentionOp,
  attentionGrad: attentionGradOp,
  attentionBiasGrad: attentionBiasGradOp,
  cachedAttention: cachedAttentionOp,
  columnDots: columnDotsOp,
  doraScale: doraScaleOp,
  dropout: dropoutOp,
  embedding: embeddingOp,
  embeddingGrad: embeddingGradOp,
  gatedActivation: gatedActivationOp,
  gatedActivationGrad: gatedActivationGradOp,
  gatherRows: gatherRowsOp,
  linearCrossEntropy: linearCrossEntropyOp,
  matmul: matmulOp,
  matmulNF4: matmulNF4Op,
  nestedAbsmax: nestedAbsmaxOp,
  pickToken: pickTokenOp,
  rmsNorm: rmsNormOp,
  rmsNormGrad: rmsNormGradOp,
  rope: ropeOp,
  scaleBy: scaleByOp,
  scaleColumns: scaleColumnsOp,
  scatterRows: scatterRowsOp,
  sumRows: sumRowsOp,
  sumSquares: sumSquaresOp,
  writeCache: writeCacheOp,
};
