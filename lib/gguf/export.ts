// A model as one GGUF file for llama.cpp and what is built on it (Ollama, LM Studio).
import { checkModel, checkName } from "../arguments.ts";
import { UserError } from "../errors.ts";
import { activeAdapter, type Model } from "../models/model.ts";
import { weightValues } from "../quantize/model.ts";
import { modelMetadata, ropeFactors } from "./metadata.ts";
import { chooseTypes, fileTypes, type GGUFType } from "./mixture.ts";
import { convertWeight, ggufName } from "./names.ts";
import { quantizeGgml } from "./quantize.ts";
import { tokenizerMetadata } from "./vocabulary.ts";
import { type GgufTensor, writeGguf } from "./write.ts";

/** Options of {@linkcode exportGGUF}. */
export interface ExportGGUFOptions {
  /**
   * How numbers are stored; default "f16". "q8_0" takes 8.5 bits a weight, "q4_0" 4.5; "q4_k_m" is llama-quantize's Q4_K_M, about
   * 4.8, with its neighbours (Q5_0, Q8_0) where rows are no multiple of 256, and f16 where they are none of 32.
   */
  type?: GGUFType;
  /** Replace a file that is there; default false. */
  overwrite?: boolean;
}

/**
 * Writes a model with its tokenizer, special tokens, chat template and rope settings as one GGUF file, as llama.cpp's own
 * converter (and llama-quantize) does. Tensors stream: one at a time is in memory besides the model. NF4 weights are written
 * as the numbers that they stand for.
 *
 * Where llama.cpp differs from the model: it knows no sliding window for Mistral (the file's context is the window, up to
 * which both agree), does not scale the head of T5 v1.0 (greedy answers are the same, drawn ones sharper), and stops at three
 * tokens besides those that it knows by their text: further ones are told of in a line.
 *
 * @param path where the file goes, by custom "<name>-<type>.gguf"
 * @throws UserError when an adapter is in use (merge it first, or write it alone with exportLoraGGUF), for what llama.cpp cannot
 *   compute (named), or when the file exists
 *
 * @example
 * ```ts
 * import { exportGGUF, loadModel } from "@fintune/fintune";
 * const model = await loadModel("tests/reference/llama_tied/model");
 * const path = `${await Deno.makeTempDir()}/tiny-q8_0.gguf`;
 * await exportGGUF(model, path, { type: "q8_0" });
 * console.log((await loadModel(path)).config.vocabSize); // 120
 * ```
 */
export async function exportGGUF(
  model: Model,
  path: string,
  options: ExportGGUFOptions = {},
): Promise<void> {
  checkModel("exportGGUF", model);
  checkName("exportGGUF", "a file", path);
  const { type = "f16", overwrite = false } = options;
  if (!Object.hasOwn(fileTypes, type)) {
    throw new UserError(
      `exportGGUF: type is ${JSON.stringify(type)}; known are ${Object.keys(fileTypes).join(", ")}.`,
    );
  }
  if (activeAdapter(model)) {
    throw new UserError(
      "exportGGUF writes whole models, but an adapter is in use: merge it first (mergeAdapter), or write it alone (exportLoraGGUF).",
    );
  }
  const metadata = new Map([...modelMetadata(model, type), ...tokenizerMetadata(model)]);
  await writeGguf(path, metadata, tensorsOf(model, type), { overwrite });
}

function tensorsOf(model: Model, type: GGUFType): Map<string, GgufTensor> {
  const { config, device, weights } = model;
  const shapes = new Map([...weights].map(([name]) => [name, shapeOf(model, name)]));
  const types = chooseTypes(
    new Map([...shapes].map(([name, shape]) => [ggufName(name), shape])),
    type,
    config,
  );
  const tensors = new Map<string, GgufTensor>();
  const factors = ropeFactors(config);
  if (factors) {
    const data = () => Promise.resolve(quantizeGgml("F32", factors, "rope_freqs.weight"));
    tensors.set("rope_freqs.weight", { type: "F32", shape: [factors.length], data });
  }
  for (const [name, shape] of shapes) {
    const own = ggufName(name), target = types.get(own)!;
    const data = async () => {
      const values = await weightValues(device, weights.get(name)!);
      return quantizeGgml(target, convertWeight(name, values, config, "to"), name);
    };
    tensors.set(own, { type: target, shape, data });
  }
  return tensors;
}

function shapeOf({ weights }: Model, name: string): readonly number[] {
  const weight = weights.get(name)!;
  return weight.kind === "dense" ? weight.tensor.shape : weight.shape;
}
