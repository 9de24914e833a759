// Which copies of the weights answers are decoded from.
import { checkModel } from "../arguments.ts";
import { UserError } from "../errors.ts";
import type { Model } from "../models/model.ts";

/**
 * The same model, which on the CPU decodes answers from its linear layers in 8 or 4 bits. Decoding is bound by reading the
 * weights, so fewer bits are faster: see bench/README.md. Without this, dense weights are read exactly and NF4 weights as 8-bit
 * copies.
 *
 * Of an NF4 model 4 bits are its own codes, which a program in WebAssembly reads (levels to 7 bits, activations to 8; the head in
 * 7 bits); where that has no kernel (DoRA, more than 3 GB of weights) and of a dense model they are symmetric copies in blocks of
 * 32 with a float32 scale each, as llama.cpp's Q4_0 (in 8 bits Q8_0), the head in 8 bits. The program in WebAssembly reads prompts
 * too; otherwise they are read with the weights themselves, and so are training and every score. The first answer says how far
 * the logits move. On a GPU nothing changes.
 *
 * @param bits 4 or 8
 * @returns a model that shares everything with the given one
 * @throws UserError for other numbers, and for an encoder-decoder (T5), whose answers are read exactly
 *
 * @example
 * ```ts
 * import { decodeIn, generate, loadModel } from "@fintune/fintune";
 * const model = decodeIn(await loadModel("tests/reference/llama_tied/model"), { bits: 4 });
 * console.log(await generate(model, [1, 15, 72, 91], { maxNewTokens: 4, eosTokenIds: [] }));
 * ```
 */
export function decodeIn(model: Model, { bits }: { bits: 4 | 8 }): Model {
  checkModel("decodeIn", model);
  if (bits !== 4 && bits !== 8) throw new UserError(`decodeIn: bits is ${bits}; it must be 4 or 8.`);
  if (model.config.encoderDecoder) {
    throw new UserError(`decodeIn: ${model.name} is an encoder-decoder, whose answers are read exactly.`);
  }
  return { ...model, decodeBits: bits };
}
