// tokenizer.json before the library sees it: checked, completed, and rewritten where the JavaScript library
// (@huggingface/tokenizers 0.2.0) is known to differ from the Rust one. This is the one place for such corrections.

import { UserError } from "../errors.ts";
import { isObject, type JsonObject } from "./files.ts";

const LARGEST_ID = 1 << 24; // an id is an index into an array: a lying file must not ask for gigabytes

/** An entry of `added_tokens`. */
export interface AddedToken extends JsonObject {
  id: number;
  content: string;
  special?: boolean;
}

/** A checked tokenizer.json: what this project itself looks at. */
export interface TokenizerJson extends JsonObject {
  model: JsonObject;
  added_tokens: AddedToken[];
}

/**
 * Checks a parsed tokenizer.json and corrects it. Its `truncation` and `padding` settings are dropped: they are what its
 * maker last used, and must not cut or pad anybody's rows.
 */
export function prepareTokenizerJson(json: JsonObject, config: JsonObject, path: string): TokenizerJson {
  const { truncation: _truncation, padding: _padding, ...rest } = json;
  const model = checkedModel(json.model, path);
  const added = json.added_tokens ?? [];
  if (!Array.isArray(added)) throw new UserError(`${path}: "added_tokens" should be a list.`);
  const added_tokens = [...added, ...configuredTokens(added, config)].map((token) =>
    checkedToken(token, path)
  );
  const absent = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
  const pre_tokenizer = splitWords(correctPreTokenizer(json.pre_tokenizer ?? null), model);
  return { ...absent, ...rest, model, added_tokens, pre_tokenizer };
}

/** The ids of all tokens, of the vocabulary and added. */
export function tokenIds(json: TokenizerJson): Map<string, number> {
  const vocabulary = json.model.vocab;
  const ids = new Map<string, number>(
    Array.isArray(vocabulary)
      ? vocabulary.map((entry, id) => [entry[0] as string, id])
      : Object.entries(vocabulary as Record<string, number>),
  );
  for (const token of json.added_tokens) ids.set(token.content, token.id);
  return ids;
}

// Transformers also knows tokens that only tokenizer_config.json lists.
function configuredTokens(added: JsonObject[], config: JsonObject): JsonObject[] {
  if (!isObject(config.added_tokens_decoder)) return [];
  const known = new Set(added.map((token) => token?.id));
  return Object.entries(config.added_tokens_decoder)
    .filter(([id, token]) => isObject(token) && !known.has(Number(id)))
    .map(([id, token]) => ({ ...token as JsonObject, id: Number(id) }));
}

function checkedModel(model: unknown, path: string): JsonObject {
  if (!isObject(model)) throw new UserError(`${path} has no "model": it is not a tokenizer.json.`);
  if (model.type !== undefined && !["BPE", "Unigram", "WordPiece"].includes(model.type as string)) {
    throw new UserError(
      `${path}: a model of type ${JSON.stringify(model.type)} is not known (BPE, Unigram or WordPiece).`,
    );
  }
  if (model.type === "Unigram") {
    const sound = Array.isArray(model.vocab) && model.vocab.length > 0 &&
      model.vocab.every((entry) =>
        Array.isArray(entry) && typeof entry[0] === "string" && typeof entry[1] === "number"
      );
    if (!sound) throw new UserError(`${path}: the Unigram "vocab" should be a list of [token, score] pairs.`);
    return model;
  }
  if (!isObject(model.vocab)) throw new UserError(`${path}: the model's "vocab" should map tokens to ids.`);
  for (const [token, id] of Object.entries(model.vocab)) checkId(id, token, path);
  if (model.type === "BPE" && !(Array.isArray(model.merges) && model.merges.every(isMerge))) {
    throw new UserError(`${path}: the BPE model has no list of "merges", each of two tokens.`);
  }
  return model;
}

/** "a b", or in newer files ["a", "b"]. */
function isMerge(merge: unknown): boolean {
  if (typeof merge === "string") return true;
  return Array.isArray(merge) && merge.length === 2 && merge.every((token) => typeof token === "string");
}

function checkedToken(token: unknown, path: string): AddedToken {
  if (!isObject(token) || typeof token.content !== "string" || token.content === "") {
    throw new UserError(`${path}: an entry of "added_tokens" has no "content".`);
  }
  checkId(token.id, token.content, path);
  return token as AddedToken;
}

function checkId(id: unknown, token: string, path: string): void {
  if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= LARGEST_ID) {
    throw new UserError(
      `${path}: the token ${JSON.stringify(token)} has the id ${JSON.stringify(id)}, no sensible number.`,
    );
  }
}

// GPT-2's words, as Rust's ByteLevel splits them.
const BYTE_LEVEL_WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * Three differences to Rust, mended by saying with `Split` (whose pattern the library translates well) what the shorthand
 * means: `Digits` takes every Unicode number (½, ², Ⅳ), not only decimal digits; the white space of `ByteLevel`'s own
 * pattern is Unicode's (with U+0085, without U+FEFF), not JavaScript's; and `Metaspace` begins a word at every "▁".
 */
function correctPreTokenizer(part: unknown): unknown {
  if (!isObject(part)) return part;
  if (part.type === "Sequence" && Array.isArray(part.pretokenizers)) {
    return { ...part, pretokenizers: part.pretokenizers.map(correctPreTokenizer) };
  }
  if (part.type === "Metaspace" && part.split !== false && (part.replacement ?? "▁") === "▁") {
    return { type: "Sequence", pretokenizers: [part, split("▁[^▁]*|[^▁]+")] };
  }
  if (part.type === "Digits") return split(part.individual_digits ? "\\p{N}" : "\\p{N}+");
  if (part.type === "ByteLevel" && part.use_regex !== false && !part.add_prefix_space) {
    return { type: "Sequence", pretokenizers: [split(BYTE_LEVEL_WORDS), { ...part, use_regex: false }] };
  }
  return part;
}

/**
 * Llama 2's kind hands BPE whole texts. Where no token holds a "▁" behind another character, no merge can cross the
 * beginning of a word, nor a character that no merge is about (a digit, a line's end): word by word gives the same ids, and
 * words are remembered.
 */
function splitWords(preTokenizer: unknown, model: JsonObject): unknown {
  const whole = preTokenizer === null ||
    isObject(preTokenizer) && preTokenizer.type === "Metaspace" && preTokenizer.split === false;
  if (!whole || model.type !== "BPE" || model.ignore_merges || model.end_of_word_suffix) return preTokenizer;
  if (Object.keys(model.vocab as JsonObject).some((token) => /[^▁]▁/.test(token))) return preTokenizer;
  const alone = unmergedAscii(model.merges as (string | [string, string])[]);
  const words = split(`▁*[^▁${alone}]+|▁+${alone && `|[${alone}]`}`);
  return preTokenizer === null ? words : { type: "Sequence", pretokenizers: [preTokenizer, words] };
}

/** The ASCII characters that no merge is about, for a class of characters in a pattern. */
function unmergedAscii(merges: (string | [string, string])[]): string {
  const merged = merges.flat().join("");
  const ascii = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code));
  return ascii.filter((character) => !merged.includes(character)).map((character) =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  ).join("");
}

function split(pattern: string): JsonObject {
  return { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
}
