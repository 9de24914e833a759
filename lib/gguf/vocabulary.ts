// A tokenizer as llama.cpp's metadata: tokens with types and scores, merges, special tokens, chat template.
import { Buffer } from "node:buffer";
import { UserError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import { isObject, type JsonObject } from "../text/files.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import {
  type AddedToken,
  prepareTokenizerJson,
  tokenIds,
  type TokenizerJson,
} from "../text/tokenizer_json.ts";
import { endTokens } from "./ends.ts";
import { endings } from "./metadata.ts";
import { preTokenizerName } from "./pre_tokenizers.ts";
import { tokenTypes } from "./token_types.ts";
import { array, bool, type Metadata, string, u32 } from "./values.ts";

/** The tokenizer's part of the metadata; a model without a tokenizer gets one that llama.cpp calls "none". */
export function tokenizerMetadata(model: Model): Metadata {
  const { tokenizer, config } = model;
  if (!tokenizer) return new Map([["tokenizer.ggml.model", string("none")], ...specialTokens(model, [])]);
  const files = tokenizer.files?.();
  if (!files) {
    throw new UserError(
      `${model.name} has a tokenizer that does not tell its files: load it with loadModel.`,
    );
  }
  const json = prepareTokenizerJson(files.json, {}, model.name);
  const words = vocabulary(files.json, json, tokenizer, config.vocabSize, model.name);
  const entries: Metadata = new Map([
    ...words,
    ...specialTokens(model, words.get("tokenizer.ggml.tokens")!.value as string[]),
    ...endings(tokenizer.addsBos, tokenizer.addsEos),
  ]);
  if (tokenizer.chatTemplate) entries.set("tokenizer.chat_template", string(tokenizer.chatTemplate));
  return entries;
}

function vocabulary(
  raw: JsonObject,
  json: TokenizerJson,
  tokenizer: Tokenizer,
  size: number,
  where: string,
): Metadata {
  const { model } = json, ids = tokenIds(json);
  if (model.type === "Unigram") return unigram(json, tokenizer, ids, size);
  if (model.type !== "BPE") {
    throw new UserError(
      `${where}: a tokenizer of type ${JSON.stringify(model.type)} cannot be written as GGUF.`,
    );
  }
  if (model.byte_fallback === true) return pieces(json, tokenizer, ids, size);
  const { tokens, types } = tokenLists(json, ids, size);
  return new Map([
    ["tokenizer.ggml.model", string("gpt2")],
    ["tokenizer.ggml.pre", string(preTokenizerName(raw, where))],
    ["tokenizer.ggml.tokens", array("string", tokens)],
    ["tokenizer.ggml.token_type", array("i32", types)],
    ["tokenizer.ggml.merges", array("string", mergePairs(model).map(([a, b]) => `${a} ${b}`))],
  ]);
}

/** The parts of every merge; a space in one could not be told from the space between them. */
function mergePairs(model: JsonObject): [string, string][] {
  return (model.merges as (string | [string, string])[]).map((merge) => {
    if (typeof merge === "string") return merge.split(" ", 2) as [string, string];
    return [merge[0].replaceAll(" ", "Ġ"), merge[1].replaceAll(" ", "Ġ")];
  });
}

/** SentencePiece's BPE, as Llama 2, Mistral and Gemma have it: llama.cpp merges what makes the token of the highest score. */
function pieces(json: TokenizerJson, tokenizer: Tokenizer, ids: Map<string, number>, size: number): Metadata {
  const { tokens, types } = tokenLists(json, ids, size);
  return new Map([
    ["tokenizer.ggml.model", string("llama")],
    ["tokenizer.ggml.pre", string("default")],
    ["tokenizer.ggml.tokens", array("string", tokens)],
    ["tokenizer.ggml.scores", array("f32", scoresOf(json, tokens, types))],
    ["tokenizer.ggml.token_type", array("i32", types)],
    ["tokenizer.ggml.add_space_prefix", bool(putsSpace(tokenizer, tokens))],
  ]);
}

/** tokenizer.json keeps no scores but the order of merges, which was made from them: the earlier, the higher. */
function scoresOf({ model }: TokenizerJson, tokens: readonly string[], types: readonly number[]): number[] {
  const rank = new Map<string, number>();
  for (const [left, right] of mergePairs(model)) {
    const made = left + right;
    if (!rank.has(made)) rank.set(made, rank.size);
  }
  return tokens.map((token, id) => {
    if (types[id] === tokenTypes.unused) return -10000;
    if (types[id] === tokenTypes.normal && !rank.has(token)) rank.set(token, rank.size);
    return types[id] === tokenTypes.normal
      ? -rank.get(token)!
      : types[id] === tokenTypes.userDefined
      ? -1000
      : 0;
  });
}

/** T5's kind: scores are logarithms of probabilities, and text is normalised by a table. */
function unigram(
  json: TokenizerJson,
  tokenizer: Tokenizer,
  ids: Map<string, number>,
  size: number,
): Metadata {
  const { tokens, types } = tokenLists(json, ids, size);
  const scores = new Map((json.model.vocab as [string, number][]).map(([, score], id) => [id, score]));
  const same = (a: string, b: string) => plainIds(tokenizer, a).join() === plainIds(tokenizer, b).join();
  const entries: Metadata = new Map([
    ["tokenizer.ggml.model", string("t5")],
    ["tokenizer.ggml.pre", string("default")],
    ["tokenizer.ggml.tokens", array("string", tokens)],
    ["tokenizer.ggml.scores", array("f32", tokens.map((_, id) => scores.get(id) ?? -10000))],
    ["tokenizer.ggml.token_type", array("i32", types)],
    ["tokenizer.ggml.add_space_prefix", bool(putsSpace(tokenizer, tokens))],
    ["tokenizer.ggml.remove_extra_whitespaces", bool(same("a  b", "a b"))],
  ]);
  const charsmap = precompiledCharsmap(json.normalizer);
  if (charsmap) {
    entries.set("tokenizer.ggml.precompiled_charsmap", array("u8", [...Buffer.from(charsmap, "base64")]));
  }
  return entries;
}

function precompiledCharsmap(normalizer: unknown): string | undefined {
  if (!isObject(normalizer)) return undefined;
  if (typeof normalizer.precompiled_charsmap === "string") return normalizer.precompiled_charsmap;
  const parts = Array.isArray(normalizer.normalizers) ? normalizer.normalizers : [];
  return parts.map(precompiledCharsmap).find((found) => found);
}

const plainIds = (tokenizer: Tokenizer, text: string): number[] =>
  tokenizer.encode(text, { addSpecialTokens: false });

/** Whether a text's first word gets the space that other words have: seen in what becomes of one. */
const putsSpace = (tokenizer: Tokenizer, tokens: readonly string[]): boolean =>
  (tokens[plainIds(tokenizer, "a")[0]] ?? "").startsWith("▁");

/** Every id's token and type; ids that only the embedding has are unused. */
function tokenLists(json: TokenizerJson, ids: Map<string, number>, size: number) {
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(size).fill(tokenTypes.unused);
  const unknown = unknownToken(json);
  for (const [token, id] of ids) {
    tokens[id] = token;
    const isByte = json.model.byte_fallback === true && /^<0x[0-9A-Fa-f]{2}>$/.test(token);
    types[id] = token === unknown ? tokenTypes.unknown : isByte ? tokenTypes.byte : tokenTypes.normal;
  }
  for (const token of json.added_tokens) {
    if (token.content === unknown) continue;
    types[token.id] = isControl(token) ? tokenTypes.control : tokenTypes.userDefined;
    if (!isControl(token)) tokens[token.id] = token.content.replaceAll("▁", " ");
  }
  return { tokens, types };
}

function unknownToken({ model }: TokenizerJson): unknown {
  if (model.type !== "Unigram") return model.unk_token;
  return (model.vocab as [string, number][])[Number(model.unk_id)]?.[0];
}

/** llama.cpp's converter too takes these for control tokens, whatever the file says. */
const isControl = ({ special, content }: AddedToken): boolean =>
  special === true || /^(<pad>|<mask>|<2mass>|\[@BOS@\]|<\|.*\|>|<｜.*｜>|<unused.*>)$/s.test(content);

function specialTokens(model: Model, tokens: readonly string[]): Metadata {
  const { config, tokenizer } = model;
  const named = {
    bos: tokenizer?.bosId ?? config.bosTokenId,
    unknown: tokenizer?.unkId,
    padding: tokenizer?.padId ?? config.padTokenId,
  };
  return new Map([
    ...Object.entries(named).filter(([, id]) => id !== undefined && id < config.vocabSize)
      .map(([name, id]) => [`tokenizer.ggml.${name}_token_id`, u32(id!)] as const),
    ...endTokens(model, tokens),
  ]);
}
