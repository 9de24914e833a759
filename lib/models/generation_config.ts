// generation_config.json: how a model's answers end, and how its makers would have them drawn.
import { join } from "@std/path";
import { UserError } from "../errors.ts";
import { readOptionalJson } from "../text/files.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { ModelConfig } from "./config.ts";

/** What generation_config.json says, by Transformers' names; options of `generate` come before it. */
export interface GenerationConfig {
  /** Every token that ends an answer. */
  readonly eosTokenIds: readonly number[];
  /** Begins a text. */
  readonly bosTokenId?: number;
  /** Fills up; never used here to tell padding. */
  readonly padTokenId?: number;
  /** Whether tokens are drawn; otherwise the likeliest is taken, and temperature, topK and topP do not count. */
  readonly doSample?: boolean;
  /** Divides the logits. */
  readonly temperature?: number;
  /** Only the k likeliest are drawn from; 0: all. */
  readonly topK?: number;
  /** Only the likeliest with so much probability together are drawn from. */
  readonly topP?: number;
  /** Above 1, tokens that have occurred get less likely. */
  readonly repetitionPenalty?: number;
  /** No sequence of so many tokens occurs twice; 0: off. */
  readonly noRepeatNgramSize?: number;
  /** Longest answer, in tokens. */
  readonly maxNewTokens?: number;
  /** Answers of a prompt that beam search follows; 1: none. */
  readonly numBeams?: number;
  /** Beam search: the power of an answer's length by which its score is divided. */
  readonly lengthPenalty?: number;
  /** Beam search: when it ends. */
  readonly earlyStopping?: boolean | "never";
}

/** Each number of the file: its name there, and what it may be. */
const numbers = {
  temperature: ["temperature", "a number of at least 0", (x: number) => x >= 0],
  topK: ["top_k", "a whole number of at least 0", (x: number) => Number.isInteger(x) && x >= 0],
  topP: ["top_p", "a number above 0 and at most 1", (x: number) => x > 0 && x <= 1],
  repetitionPenalty: ["repetition_penalty", "a number above 0", (x: number) => x > 0],
  noRepeatNgramSize: [
    "no_repeat_ngram_size",
    "a whole number of at least 0",
    (x: number) => Number.isInteger(x) && x >= 0,
  ],
  maxNewTokens: [
    "max_new_tokens",
    "a whole number of at least 1",
    (x: number) => Number.isInteger(x) && x > 0,
  ],
  numBeams: ["num_beams", "a whole number of at least 1", (x: number) => Number.isInteger(x) && x > 0],
  lengthPenalty: ["length_penalty", "a number", Number.isFinite],
} as const;
type NumberName = keyof typeof numbers;

/**
 * Reads a model folder's generation_config.json; without one, the tokens that end a text come from config.json and the
 * tokenizer.
 *
 * @throws UserError for a setting that is out of range
 */
export async function loadGenerationConfig(
  folder: string,
  config: ModelConfig,
  tokenizer?: Tokenizer,
): Promise<GenerationConfig> {
  const path = join(folder, "generation_config.json");
  const json = await readOptionalJson(path) ?? {};
  const ids = (value: unknown): number[] => [value].flat().filter((id): id is number => Number.isInteger(id));
  const ends = ids(json.eos_token_id).length ? ids(json.eos_token_id) : config.eosTokenIds;
  return {
    eosTokenIds: [...new Set([...ends, ...tokenizer?.eosIds ?? []])],
    bosTokenId: ids(json.bos_token_id)[0] ?? config.bosTokenId,
    padTokenId: ids(json.pad_token_id)[0] ?? config.padTokenId,
    ...sampling(json, path),
  };
}

function sampling(json: Readonly<Record<string, unknown>>, path: string): Partial<GenerationConfig> {
  const refuse = (key: string, wanted: string) => {
    throw new UserError(`${path}: ${key} is ${JSON.stringify(json[key])}; it must be ${wanted}.`);
  };
  const found:
    & Partial<Record<NumberName, number>>
    & { doSample?: boolean; earlyStopping?: boolean | "never" } = {};
  for (const name of Object.keys(numbers) as NumberName[]) {
    const [key, wanted, fits] = numbers[name];
    const value = json[key];
    if (value === undefined || value === null) continue;
    if (typeof value !== "number" || !Number.isFinite(value) || !fits(value)) refuse(key, wanted);
    else found[name] = value;
  }
  const { do_sample: doSample, early_stopping: early = null } = json;
  if (early !== null && typeof early !== "boolean" && early !== "never") {
    refuse("early_stopping", 'true, false or "never"');
  }
  if (early !== null) found.earlyStopping = early as boolean | "never";
  if (doSample === undefined || doSample === null) return found;
  if (typeof doSample !== "boolean") refuse("do_sample", "true or false");
  return { ...found, doSample: doSample as boolean };
}

/** The file's content, as Transformers reads it. */
export function generationConfigJson(config: GenerationConfig): Record<string, unknown> {
  const { bosTokenId, padTokenId, eosTokenIds, doSample } = config;
  const settings = Object.entries(numbers).map(([name, [key]]) => [key, config[name as NumberName]]);
  return {
    bos_token_id: bosTokenId,
    eos_token_id: eosTokenIds,
    pad_token_id: padTokenId,
    do_sample: doSample,
    early_stopping: config.earlyStopping,
    ...Object.fromEntries(settings),
  };
}
