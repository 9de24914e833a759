// A new model with random weights, as Transformers initialises it.
import type { Device } from "../engine/device.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { seededRandom } from "../data/random.ts";
import { type ModelConfig, parameterShapes } from "./config.ts";
import { checkHeadSize, defaultDevice, forModel } from "./load.ts";
import type { Model, Weight } from "./model.ts";
import { t5Deviation } from "./t5_config.ts";

/** Options of {@linkcode initModel}. */
export interface InitOptions {
  /** Default: the process's own device. */
  device?: Device;
  /** Default 0. */
  seed?: number;
  /** Comes along for prompts and answers. */
  tokenizer?: Tokenizer;
}

/**
 * A model with fresh weights: matrices normal with the configuration's initializerRange (T5's each with a deviation of its
 * own, times initializer_factor), norms at one. To pretrain from nothing, pass it to `adamW` and `trainEpoch` without an adapter.
 *
 * @example
 * ```ts
 * import { countTrainable, initModel, parseConfig } from "@fintune/fintune";
 * const config = parseConfig({
 *   model_type: "llama", vocab_size: 64, hidden_size: 64, intermediate_size: 128,
 *   num_hidden_layers: 2, num_attention_heads: 4, tie_word_embeddings: true,
 * });
 * const model = await initModel(config, { seed: 1 });
 * console.log(countTrainable(model).trainable); // 86336
 * ```
 */
export async function initModel(config: ModelConfig, options: InitOptions = {}): Promise<Model> {
  const { seed = 0, tokenizer } = options;
  const device = options.device ?? await defaultDevice();
  checkHeadSize("The new model", config, device);
  const random = seededRandom(seed);
  const weights = new Map<string, Weight>();
  for (const [name, shape] of parameterShapes(config)) {
    const length = shape.reduce((product, size) => product * size, 1);
    const data = new Float32Array(length);
    const deviation = config.encoderDecoder ? t5Deviation(name, config) : config.initializerRange;
    if (shape.length === 2) fillNormal(data, deviation, random);
    else data.fill(name.endsWith("bias") ? 0 : 1 - config.normOffset);
    weights.set(name, { kind: "dense", tensor: device.upload(data, shape, "f32") });
  }
  const generation = {
    eosTokenIds: [...new Set([...config.eosTokenIds, ...tokenizer?.eosIds ?? []])],
    bosTokenId: config.bosTokenId,
    padTokenId: config.padTokenId,
  };
  return {
    ...{ name: "new model", config, device, weights, generation },
    tokenizer: tokenizer && forModel(tokenizer, config),
    adapters: new Map(),
  };
}

/** Box and Muller's method. */
function fillNormal(data: Float32Array, deviation: number, random: () => number): void {
  for (let i = 0; i < data.length; i += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log(1 - random())), angle = 2 * Math.PI * random();
    data[i] = radius * Math.cos(angle);
    if (i + 1 < data.length) data[i + 1] = radius * Math.sin(angle);
  }
}
