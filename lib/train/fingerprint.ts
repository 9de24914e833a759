// What has to be the same for a run to go on from a checkpoint: model, adapter, rows and how they make steps.
import { createHash } from "node:crypto";
import type { Batch } from "../data/batch.ts";
import type { Batches } from "../data/pack.ts";
import type { TypedArray } from "../engine/dtype.ts";
import { UserError } from "../errors.ts";
import { activeAdapter, type Model } from "../models/model.ts";
import { tensorsUnder } from "../models/parameters.ts";

/** By a name that errors can use. */
export type Fingerprint = Record<string, string | number>;

/** Of texts and arrays, one after another. */
function hash(parts: Iterable<string | TypedArray>): string {
  const sum = createHash("sha256");
  for (const part of parts) {
    const bytes = typeof part === "string"
      ? new TextEncoder().encode(part)
      : new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
    sum.update(`${bytes.length}:`).update(bytes);
  }
  return sum.digest("hex").slice(0, 16);
}

/** Of the model and its adapter. A base that is not trained itself is known by its last layer. */
export async function modelFingerprint(model: Model): Promise<Fingerprint> {
  const adapter = activeAdapter(model);
  const config = { "model configuration": hash([JSON.stringify(model.config)]) };
  if (!adapter) return { ...config, adapter: "none (every weight is trained)" };
  const known = baseHashes.get(model) ?? await lastLayerHash(model);
  baseHashes.set(model, known);
  const { r, alpha, dropout, useRslora, useDora, bias, initLoraWeights, targetModules } = adapter.config;
  const variant = [
    useRslora ? ", rsLoRA" : "",
    useDora ? ", DoRA" : "",
    bias === "none" ? "" : `, bias ${bias}`,
    initLoraWeights === true || initLoraWeights === "gaussian" ? "" : `, ${initLoraWeights}`,
  ].join("");
  const modules = [...targetModules].sort().join(", ");
  return {
    ...config,
    "base model (hash of its last layer)": known,
    adapter: `r ${r}, alpha ${alpha}, dropout ${dropout}${variant} on ${modules}`,
  };
}

/** A base below an adapter does not change: every save asks for its hash again. */
const baseHashes = new WeakMap<Model, string>();

async function lastLayerHash(model: Model): Promise<string> {
  const { numHiddenLayers, encoderDecoder } = model.config, sums: string[] = [];
  const prefix = encoderDecoder
    ? `decoder.block.${encoderDecoder.numDecoderLayers - 1}.`
    : `model.layers.${numHiddenLayers - 1}.`;
  for (const [name, tensor] of Object.entries(tensorsUnder({ ...model, active: undefined }, prefix))) {
    const [data] = await model.device.read(tensor);
    sums.push(name, hash([data]));
  }
  return hash(sums);
}

/** Of batches; `prefix` ("held-out ") goes before the names. */
export function batchesFingerprint(batches: Batches | readonly Batch[], prefix: string = ""): Fingerprint {
  if (!("examples" in batches)) {
    const arrays = batches.flatMap((
      batch,
    ) => [batch.inputIds, batch.rowOf, batch.targetIndex, batch.targetIds]);
    return { [`number of ${prefix}batches`]: batches.length, [`hash of the ${prefix}batches`]: hash(arrays) };
  }
  const { rows, batchSize, layout, examples } = batches;
  const arrays = function* () {
    for (const { inputIds, labels, row } of examples) yield* [inputIds, labels, `${row}`];
  };
  return {
    [`number of ${prefix}rows`]: rows,
    [`${prefix}batchSize`]: batchSize,
    [`${prefix}layout`]: layout,
    [`hash of the ${prefix}rows' tokens`]: hash(arrays()),
  };
}

/**
 * @throws UserError naming the first thing that differs
 */
export function checkSame(saved: Fingerprint, here: Fingerprint, folder: string): void {
  for (const name of Object.keys(here)) {
    if (saved[name] === here[name]) continue;
    throw new UserError(
      `${folder} belongs to another run: its ${name} is ${saved[name] ?? "not told"}, here it is ${
        here[name]
      }. ` +
        "Give what it had, or begin a new run in another folder.",
    );
  }
}
