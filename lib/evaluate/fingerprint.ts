// What has to be the same for saved answers to be a model's answers: model, adapter, questions, settings.
import { createHash } from "node:crypto";
import { activeAdapter, type Model } from "../models/model.ts";
import { tensorsUnder } from "../models/parameters.ts";
import type { GenerateOptions } from "../generate/generate.ts";
import type { Tensor } from "../engine/tensor.ts";

/** By names that an error can use. */
export type Fingerprint = Record<string, string>;

/** Options that decide what is written; how many prompts share a batch does not. */
const SETTINGS = [
  "maxNewTokens",
  "doSample",
  "temperature",
  "topK",
  "topP",
  "repetitionPenalty",
  "noRepeatNgramSize",
  "eosTokenIds",
] as const;

/** Of the answers of a model to questions. */
export async function answersFingerprint(
  model: Model,
  questions: readonly string[],
  options: GenerateOptions,
): Promise<Fingerprint> {
  const { seed = 0 } = options;
  const settings = SETTINGS.map((
    name,
  ) => [name, String(options[name] ?? model.generation[name] ?? "not given")]);
  return {
    "model configuration": hash([JSON.stringify(model.config)]),
    "base model (hash of its last layer)": await lastLayerHash(model),
    adapter: await adapterHash(model),
    "number of questions": String(questions.length),
    "hash of the questions": hash(questions),
    ...Object.fromEntries(settings),
    seed: String(seed),
  };
}

function hash(parts: Iterable<string | Uint8Array>): string {
  const sum = createHash("sha256");
  for (const part of parts) {
    const bytes = typeof part === "string" ? new TextEncoder().encode(part) : part;
    sum.update(`${bytes.length}:`).update(bytes);
  }
  return sum.digest("hex").slice(0, 16);
}

/** A base below an adapter does not change, one that is trained itself does in its last layer too. */
function lastLayerHash(model: Model): Promise<string> {
  const prefixes = [...model.weights.keys()].map((name) => /^(.*\.)(\d+)\./.exec(name)).filter((found) =>
    found !== null
  );
  const last = prefixes.reduce((best, found) => Number(found[2]) >= Number(best[2]) ? found : best);
  return hashOf(model, tensorsUnder({ ...model, active: undefined }, `${last[1]}${last[2]}.`));
}

async function adapterHash(model: Model): Promise<string> {
  const adapter = activeAdapter(model);
  if (!adapter) return "none";
  const weights = await hashOf(model, Object.fromEntries(adapter.parameters));
  return hash([JSON.stringify(adapter.config), weights]);
}

async function hashOf({ device }: Model, tensors: Readonly<Record<string, Tensor>>): Promise<string> {
  const parts: (string | Uint8Array)[] = [];
  for (const [name, tensor] of Object.entries(tensors)) {
    const [{ buffer, byteOffset, byteLength }] = await device.read(tensor);
    parts.push(name, hash([new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)]));
  }
  return hash(parts);
}
