// A batch on the device: the tensors that describe it to the graphs of training.
import type { Batch } from "../data/batch.ts";
import { lowbias32 } from "../engine/ops/dropout.ts";
import type { Tensor } from "../engine/tensor.ts";
import type { ModelConfig } from "../models/config.ts";
import { firstSeen } from "../models/decoder.ts";
import { activeAdapter, headName, type Model } from "../models/model.ts";
import { rotaryTables } from "../models/rotary.ts";
import type { TrainingSetup } from "./graphs.ts";
import { embeddingNoise } from "./neftune.ts";
import type { StepOptions } from "./programs.ts";

/** Which random bits dropout draws. */
export interface DropoutKey {
  /** Of the run. */
  readonly seed: number;
  /** The optimizer's step. */
  readonly step: number;
}

export interface BatchInputs {
  readonly setup: TrainingSetup;
  readonly inputIds: Tensor;
  /** positions, ranges, cos, sin and, with dropout, tokenKeys. */
  readonly shared: Record<string, Tensor>;
  /** What NEFTune adds to the embeddings; empty without. */
  readonly noise: { readonly noise?: Tensor };
  /** targetIndex, targetIds, lossScale. */
  readonly targets: Record<string, Tensor>;
  /** The counter of every layer; empty without dropout. */
  readonly layerKeys: readonly Tensor[];
  free(): void;
}

/** One key a token, from what makes it unique: seed, step, row and position. Never its place in the packed batch. */
export function tokenKeys(
  { rowOf, positions }: Pick<Batch, "rowOf" | "positions">,
  { seed, step }: DropoutKey,
): Int32Array {
  const run = lowbias32(lowbias32(seed) ^ Math.imul(step, 0x9e3779b9));
  return Int32Array.from(
    rowOf,
    (row, t) => lowbias32(lowbias32(run ^ row) + Math.imul(positions[t], 0x85ebca6b)),
  );
}

/** The keys that each query sees, [tokens * 2], after the model's sliding window. */
export function seenRanges(ranges: Int32Array, config: ModelConfig): Int32Array {
  return ranges.map((bound, i) => i % 2 ? bound : firstSeen(bound, ranges[i + 1], config));
}

export function uploadBatch(
  model: Model,
  batch: Batch,
  { lossScale, dropout: drop, neftuneNoiseAlpha }: Pick<
    StepOptions,
    "lossScale" | "dropout" | "neftuneNoiseAlpha"
  >,
): BatchInputs {
  const { config, device } = model;
  const owned: Tensor[] = [];
  const upload = (data: Int32Array | Float32Array, ...shape: number[]) => {
    const tensor = device.upload(data, shape, data instanceof Int32Array ? "i32" : "f32");
    owned.push(tensor);
    return tensor;
  };
  const lora = activeAdapter(model)?.config;
  const dropping = drop !== undefined && (lora?.dropout ?? 0) > 0;
  const longest = batch.positions.reduce((max, position) => Math.max(max, position + 1), 1);
  const { cos, sin, length } = rotaryTables(device, config, longest);
  const tokens = batch.inputIds.length, targets = batch.targetIds.length;
  const noise = drop && neftuneNoiseAlpha
    ? upload(
      embeddingNoise(config, batch, { alpha: neftuneNoiseAlpha, key: drop }),
      tokens,
      config.hiddenSize,
    )
    : undefined;
  return {
    setup: {
      config,
      lora,
      dropping,
      noisy: noise !== undefined,
      head: { norm: "model.norm", table: headName(model) },
      rotaryLength: length,
    },
    inputIds: upload(batch.inputIds, tokens),
    noise: noise ? { noise } : {},
    shared: {
      positions: upload(batch.positions, tokens),
      ranges: upload(seenRanges(batch.ranges, config), tokens, 2),
      cos,
      sin,
      ...(dropping ? { tokenKeys: upload(tokenKeys(batch, drop), tokens) } : {}),
    },
    targets: {
      targetIndex: upload(batch.targetIndex, targets),
      targetIds: upload(batch.targetIds, targets),
      lossScale: upload(Float32Array.of(lossScale), 1),
    },
    layerKeys: dropping
      ? Array.from({ length: config.numHiddenLayers }, (_, i) => upload(Int32Array.of(lowbias32(i + 1)), 1))
      : [],
    free: () => device.free(...owned),
  };
}
