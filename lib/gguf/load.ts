// A GGUF file as a model to tune: configuration, tokenizer and weights under Hugging Face's names.
import { UserError } from "../errors.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { TensorInfo } from "../formats/safetensors.ts";
import { type ModelConfig, parameterShapes } from "../models/config.ts";
import type { ModelFiles } from "../models/load.ts";
import { ggufTokenizer } from "../text/tokenizer.ts";
import { ggufConfig } from "./config_json.ts";
import { dequantizeGgml } from "./dequantize.ts";
import { convertWeight, ggufName, isChanged } from "./names.ts";
import { type GgufFile, openGguf } from "./read.ts";

/**
 * Opens a GGUF file, to be closed; quantised weights are given as the numbers that they stand for.
 *
 * @throws UserError for a damaged file, or a model that is not supported
 */
export async function openGgufModel(path: string): Promise<ModelFiles> {
  const file = await openGguf(path);
  try {
    const config = await ggufConfig(file, path);
    const tokenizer = await ggufTokenizer(file.metadata, path);
    const generation = {
      eosTokenIds: config.eosTokenIds,
      bosTokenId: config.bosTokenId,
      padTokenId: config.padTokenId,
    };
    const weights = () => Promise.resolve(checkpointOf(file, config, path));
    return { config, tokenizer, generation, weights, close: () => file.close() };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** The file's tensors as a checkpoint's. Half precision stays so where a weight's values stay too. */
function checkpointOf(file: GgufFile, config: ModelConfig, path: string): Checkpoint {
  const names = new Map(
    [...parameterShapes(config).keys(), "lm_head.weight"].map((name) => [ggufName(name), name]),
  );
  const stored = new Map([...file.tensors].flatMap(([own, info]) => {
    if (own === "rope_freqs.weight") return []; // part of the configuration
    return [[names.get(own) ?? own, { own, info }] as const];
  }));
  const isHalf = (name: string, type: string) =>
    (type === "F16" || type === "BF16") && !isChanged(name, config);
  const tensors = new Map([...stored].map(([name, { info: { type, shape, begin, end } }]) => {
    const dtype = isHalf(name, type) ? type as "F16" | "BF16" : "F32";
    const tensor: TensorInfo = { dtype, shape: [...shape], begin, end };
    return [name, tensor] as const;
  }));
  const read = async (name: string): Promise<Uint8Array<ArrayBuffer>> => {
    const { own, info: { type } } = stored.get(name)!;
    const bytes = await file.read(own);
    if (isHalf(name, type)) return bytes;
    const { buffer, byteOffset, byteLength } = convertWeight(
      name,
      dequantizeGgml(type, bytes),
      config,
      "from",
    );
    return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
  };
  const readInto = () => Promise.reject(new UserError(`${path}: GGUF's tensors are read whole.`));
  return { tensors, read, readInto, close: () => file.close() };
}
