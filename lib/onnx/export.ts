// A model as ONNX files, in the folder layout of Transformers.js and optimum.
import { checkModel, checkName } from "../arguments.ts";
import { UserError } from "../errors.ts";
import { headName, type Model } from "../models/model.ts";
import { companionFiles } from "./companions.ts";
import { decoderModel } from "./decoder.ts";
import { type FilePart, fileParts } from "./file.ts";
import { writeModelFolder } from "./folder.ts";
import { encoderModel, mergedDecoderModel } from "./t5.ts";
import { type ExportType, type FileForm, openWeights } from "./weights.ts";

export type { ExportType };

/** Options of {@linkcode exportONNX}. */
export interface ExportONNXOptions {
  /**
   * "f32" (default) gives model.onnx; "f16" model_fp16.onnx, whose matrices are in half precision, as are the products with
   * them; "q8" model_quantized.onnx and "q4" model_q4.onnx, whose layers and head are in eight or four bits (MatMulNBits,
   * blocks of 32, one f32 scale each), the embedding in f32.
   */
  type?: ExportType;
  /**
   * "q8" and "q4": what the activations are on their way through a product. 4 (default): eight bits, in blocks of 32; on a CPU several
   * times as fast. 0: full precision.
   */
  accuracyLevel?: 0 | 4;
  /** Replace files that are already there; default false. */
  overwrite?: boolean;
}

/** What Transformers.js calls the types, in its options and in file names. */
const NAMES: Record<ExportType, { dtype: string; suffix: string }> = {
  f32: { dtype: "fp32", suffix: "" },
  f16: { dtype: "fp16", suffix: "_fp16" },
  q8: { dtype: "q8", suffix: "_quantized" },
  q4: { dtype: "q4", suffix: "_q4" },
};

/** A protobuf message may be 2 GB; a browser's buffer too. */
const LIMIT = 2_000_000_000;

/**
 * Writes a model for onnxruntime, as Transformers.js loads it, with the names that optimum gave: onnx/model.onnx (T5:
 * encoder_model.onnx and decoder_model_merged.onnx) with the KV cache as inputs and outputs, config.json,
 * generation_config.json and the tokenizer's files. Several types may lie in one folder: call it once for each; the first is
 * the one that Transformers.js loads where no `dtype` is given. A file that is already there is an error, and the files of one
 * call appear together or not at all.
 *
 * The weights are read and written one at a time; NF4 ones are written as the numbers that they stand for. Above 2 GB they go
 * into files beside the model (model.onnx_data), which config.json's `transformers.js_config` names. Rotary positions reach to
 * maxPositionEmbeddings, at most 131,072. Ids, masks and positions are int64, caches and logits f32 in every type.
 *
 * @param model without an adapter: merge it first with mergeAdapter
 * @param folder is made where it is missing
 * @throws UserError when an adapter is attached, the folder holds one of the files or another model, or cannot be written
 *
 * @example
 * ```ts
 * import { exportONNX, loadModel } from "@fintune/fintune";
 * const folder = await Deno.makeTempDir();
 * const model = await loadModel("examples/tiny/model");
 * await exportONNX(model, folder, { type: "q4" });
 * const { size } = await Deno.stat(`${folder}/onnx/model_q4.onnx`);
 * console.log((size / 1e6).toFixed(1), "MB"); // 2.4 MB
 * ```
 *
 * @example In Transformers.js, in a browser, Node or Deno:
 * ```ts ignore
 * import { pipeline } from "@huggingface/transformers";
 * const generator = await pipeline("text-generation", "folder", { dtype: "q4" }); // "fp32", "fp16", "q8"
 * const [{ generated_text }] = await generator("What is a bond?", { max_new_tokens: 64 });
 * ```
 */
export async function exportONNX(
  model: Model,
  folder: string,
  options: ExportONNXOptions = {},
): Promise<void> {
  await exportWithin(LIMIT, model, folder, options);
}

/** As exportONNX, with another limit on the size of one file. */
export async function exportWithin(
  limit: number,
  model: Model,
  folder: string,
  { type = "f32", accuracyLevel = 4, overwrite = false }: ExportONNXOptions,
): Promise<void> {
  checkModel("exportONNX", model);
  checkName("exportONNX", "a folder", folder);
  if (!Object.hasOwn(NAMES, type)) {
    throw new UserError(
      `exportONNX: type is ${JSON.stringify(type)}; it must be "f32", "f16", "q8" or "q4".`,
    );
  }
  if (accuracyLevel !== 0 && accuracyLevel !== 4) {
    throw new UserError(`exportONNX: accuracyLevel is ${JSON.stringify(accuracyLevel)}; it must be 0 or 4.`);
  }
  if (model.active !== undefined) {
    throw new UserError(
      `exportONNX writes models without adapters, and "${model.active}" is in use: merge it first (const { model: merged } = await mergeAdapter(model)).`,
    );
  }
  const parts = await modelParts(model, { type, accuracyLevel }, limit);
  await writeModelFolder(folder, {
    parts,
    companions: companionFiles(model),
    dtype: NAMES[type].dtype,
    overwrite,
  });
}

async function modelParts(model: Model, form: FileForm, limit: number): Promise<FilePart[]> {
  const head = headName(model), path = (name: string) => `${name}${NAMES[form.type].suffix}.onnx`;
  const weights = () => openWeights(model, form);
  if (!model.config.encoderDecoder) {
    return fileParts(decoderModel(weights(), head), path("model"), limit);
  }
  const encoder = await encoderModel(weights());
  const decoder = await mergedDecoderModel(weights(), head);
  return [
    ...fileParts(encoder, path("encoder_model"), limit),
    ...fileParts(decoder, path("decoder_model_merged"), limit),
  ];
}
