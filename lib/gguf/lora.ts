// A LoRA adapter alone as a GGUF file, which llama.cpp adds to the base model's own file (--lora).
import { checkModel, checkName } from "../arguments.ts";
import { UserError } from "../errors.ts";
import { activeAdapter, type Adapter, type LoRAConfig, type Model } from "../models/model.ts";
import { generalMetadata } from "./metadata.ts";
import { ggufName, permutedHeads, permuteHeads } from "./names.ts";
import { quantizeGgml } from "./quantize.ts";
import { f32, type Metadata, string, u32 } from "./values.ts";
import { type GgufTensor, writeGguf } from "./write.ts";

/** Options of {@linkcode exportLoraGGUF}. */
export interface ExportLoraGGUFOptions {
  /** How numbers are stored; default "f32", as the converter's. */
  type?: "f32" | "f16";
  /** Replace a file that is there; default false. */
  overwrite?: boolean;
}

/**
 * Writes the adapter in use, without its base, as llama.cpp's convert_lora_to_gguf does: llama.cpp takes it beside the base's
 * file (`llama-cli -m base.gguf --lora adapter.gguf`), Ollama by `ADAPTER`. The base must be the one it was tuned on; one that
 * was quantised otherwise answers slightly differently.
 *
 * rsLoRA's scaling, which llama.cpp does not know, is put into alpha.
 *
 * @param path where the file goes
 * @throws UserError without an adapter in use, for DoRA, trained biases, PiSSA and LoftQ (merge those with mergeAdapter), for
 *   an adapted head that is tied to the embedding, or when the file exists
 *
 * @example
 * ```ts
 * import { exportLoraGGUF, loadAdapter, loadModel } from "@fintune/fintune";
 * const base = await loadModel("tests/reference/llama_tied/model");
 * const model = await loadAdapter(base, "tests/reference/llama_tied/adapter");
 * await exportLoraGGUF(model, `${await Deno.makeTempDir()}/adapter.gguf`);
 * ```
 */
export async function exportLoraGGUF(
  model: Model,
  path: string,
  options: ExportLoraGGUFOptions = {},
): Promise<void> {
  checkModel("exportLoraGGUF", model);
  checkName("exportLoraGGUF", "a file", path);
  const { type = "f32", overwrite = false } = options;
  if (type !== "f32" && type !== "f16") {
    throw new UserError(`exportLoraGGUF: type is ${JSON.stringify(type)}; known are f32 and f16.`);
  }
  const adapter = activeAdapter(model);
  if (!adapter) {
    throw new UserError(
      "exportLoraGGUF writes the adapter in use, but the model has none: exportGGUF writes whole models.",
    );
  }
  checkPlain(model, adapter);
  const metadata: Metadata = new Map([
    ...generalMetadata(model.config, "adapter", adapter.name),
    ["adapter.type", string("lora")],
    ["adapter.lora.alpha", f32(alphaOf(adapter.config))],
    ["general.file_type", u32(type === "f32" ? 0 : 1)],
    ["general.quantization_version", u32(2)],
  ]);
  await writeGguf(path, metadata, matrices(model, adapter, type === "f32" ? "F32" : "F16"), { overwrite });
}

/** llama.cpp divides by the rank; rsLoRA by its square root. */
const alphaOf = ({ alpha, r, useRslora }: LoRAConfig): number => useRslora ? alpha * Math.sqrt(r) : alpha;

function checkPlain({ config, weights }: Model, { config: lora, parameters, changed }: Adapter): void {
  const refuse = (what: string) => {
    throw new UserError(
      `llama.cpp's adapters have no ${what}: merge it (mergeAdapter) and write the whole model (exportGGUF).`,
    );
  };
  if (lora.useDora) refuse("DoRA");
  if (lora.bias !== "none") refuse("trained biases");
  if (changed) refuse(`changed base (${lora.initLoraWeights})`);
  const adaptsHead = [...parameters.keys()].some((name) => name.startsWith("base_model.model.lm_head."));
  if (adaptsHead && (config.modelType === "gemma" || !weights.has("lm_head.weight"))) {
    refuse("head apart from the embedding that it is tied to");
  }
}

function matrices(
  { config, device }: Model,
  { parameters }: Adapter,
  type: "F32" | "F16",
): Map<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  for (const [name, tensor] of parameters) {
    const [, module, part] = /^base_model\.model\.(.*)\.lora_([AB])\.weight$/.exec(name)!;
    const heads = part === "B" ? permutedHeads(`${module}.weight`, config) : 0;
    const data = async () => {
      const [values] = await device.read(tensor) as Float32Array[];
      return quantizeGgml(
        type,
        heads === 0 ? values : permuteHeads(values, heads, config.headDim, "to"),
        name,
      );
    };
    tensors.set(`${ggufName(`${module}.weight`)}.lora_${part.toLowerCase()}`, {
      type,
      shape: tensor.shape,
      data,
    });
  }
  return tensors;
}
