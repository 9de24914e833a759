// A batch of questions and answers on the device, as T5's programs take it.
import type { Batch, DecoderSide } from "../data/batch.ts";
import { lowbias32 } from "../engine/ops/dropout.ts";
import type { Tensor } from "../engine/tensor.ts";
import { activeAdapter, headName, type Model } from "../models/model.ts";
import type { StackName } from "../models/t5.ts";
import { type DropoutKey, tokenKeys } from "./inputs.ts";
import type { T5Setup } from "./t5_graphs.ts";

type Tensors = Record<string, Tensor>;

/** A batch on the device. */
export interface T5Inputs {
  readonly model: Model;
  readonly setup: T5Setup;
  /** Of each stack. */
  readonly ids: Record<StackName, Tensor>;
  /** What all blocks of each stack take, but for the bias. */
  readonly shared: Record<StackName, Tensors>;
  /** targetIndex, targetIds, lossScale, headScale. */
  readonly targets: Tensors;
  /** The counter of every block, the encoder's first; empty without dropout. */
  readonly layerKeys: readonly Tensor[];
  free(): void;
}

/** Puts it there; `drop` is absent where nothing is dropped. */
export function uploadT5(model: Model, batch: Batch, lossScale: number, drop?: DropoutKey): T5Inputs {
  const { config, device } = model, decoder = batch.decoder as DecoderSide;
  const owned: Tensor[] = [];
  const upload = (data: Int32Array | Float32Array, ...shape: number[]) => {
    const tensor = device.upload(data, shape, data instanceof Int32Array ? "i32" : "f32");
    owned.push(tensor);
    return tensor;
  };
  const lora = activeAdapter(model)?.config;
  const dropping = drop !== undefined && (lora?.dropout ?? 0) > 0;
  const tokens = batch.inputIds.length, answer = decoder.inputIds.length, targets = batch.targetIds.length;
  const keys = dropping ? { "encoder.keys": upload(tokenKeys(batch, drop), tokens) } : undefined;
  const { numDecoderLayers, headScale } = config.encoderDecoder!;
  return {
    model,
    setup: { config, lora, dropping, table: headName(model) },
    ids: { encoder: upload(batch.inputIds, tokens), decoder: upload(decoder.inputIds, answer) },
    shared: {
      encoder: { "encoder.ranges": upload(batch.ranges, tokens, 2), ...keys },
      decoder: {
        "decoder.ranges": upload(decoder.ranges, answer, 2),
        "memory.ranges": upload(decoder.memoryRanges, answer, 2),
        ...keys,
        ...(dropping ? { "decoder.keys": upload(tokenKeys(decoder, drop), answer) } : {}),
      },
    },
    targets: {
      targetIndex: upload(batch.targetIndex, targets),
      targetIds: upload(batch.targetIds, targets),
      lossScale: upload(Float32Array.of(lossScale), 1),
      headScale: upload(Float32Array.of(headScale), 1),
    },
    layerKeys: dropping
      ? Array.from(
        { length: config.numHiddenLayers + numDecoderLayers },
        (_, i) => upload(Int32Array.of(lowbias32(i + 1)), 1),
      )
      : [],
    free: () => device.free(...owned),
  };
}
