// Text to token ids and back, by the tokenizer files of a model folder.

import { join } from "@std/path";
import { createHash } from "node:crypto";
import { checkName } from "../arguments.ts";
import { UserError } from "../errors.ts";
import { isGguf, openGguf } from "../gguf/read.ts";
import { ggufTokenizerFiles } from "../gguf/tokenizer.ts";
import type { Metadata } from "../gguf/values.ts";
import { type HubOptions, modelSource } from "../hub/model.ts";
import {
  type ChatOptions,
  chatRenderer,
  findChatTemplate,
  type MarkedChat,
  type Message,
} from "./chat_template.ts";
import { fewestTokens } from "./fewest_tokens.ts";
import { isObject, type JsonObject, readOptionalBytes, readOptionalJson } from "./files.ts";
import { readSentencePiece, type TokenizerFiles } from "./sentencepiece.ts";
import { encodingFiles, type EncodingName, isRankFile, readRankFile } from "./tiktoken.ts";
import { tokenBytes } from "./token_bytes.ts";
import { prepareTokenizerJson, tokenIds, type TokenizerJson } from "./tokenizer_json.ts";
import { wordEncoder } from "./word_encoder.ts";

/** A model's tokenizer, as {@linkcode loadTokenizer} gives it. */
export interface Tokenizer {
  /**
   * The token ids of a text. With `addSpecialTokens` (default true) what the model's own tokenizer adds is added: BOS for
   * Llama, nothing for GPT-2's kind. A text that itself begins with the BOS token gets no second one.
   */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /** The text of token ids; special tokens are left out unless `skipSpecialTokens` is false. Ids without a token give nothing. */
  decode(ids: ArrayLike<number>, options?: { skipSpecialTokens?: boolean }): string;
  /** Highest id + 1; a model's embedding must have at least as many rows. */
  vocabSize: number;
  /** Id of the token that begins a text. */
  bosId?: number;
  /** Id of the token that ends a text: the one training appends. */
  eosId?: number;
  /** Id of the padding token. */
  padId?: number;
  /** Id for what the vocabulary lacks. */
  unkId?: number;
  /** Ids of special tokens, which decoding leaves out. */
  specialIds?: readonly number[];
  /** Every id that ends a text: the tokenizer's EOS and those of generation_config.json; generation stops at any of them. */
  eosIds: number[];
  /** Whether `encode` puts BOS in front. */
  addsBos: boolean;
  /** Whether `encode` puts EOS behind (T5 does). */
  addsEos: boolean;
  /** For an encoder-decoder's tokenizer: the token that its decoder begins with, by config.json. */
  decoderStartTokenId?: number;
  /** The Jinja source of the chat template, if the model has one. */
  chatTemplate?: string;
  /**
   * Renders messages as the model's chat template says; `addGenerationPrompt` (default false) opens the assistant's turn,
   * `tools` are the functions that the model may call. A template that asks for the date is always given 26 July 2024.
   */
  applyChatTemplate(messages: Message[], options?: ChatOptions): string;
  /** As applyChatTemplate, with the spans between {% generation %} marks; there only where the template has such marks. */
  markAnswers?(messages: Message[], options?: ChatOptions): MarkedChat;
  /**
   * A number of tokens that the text does not fall below, without what is added around it: told from its characters in some
   * milliseconds, where tokenizing a megabyte without a space takes seconds. 0 where nothing is certain.
   */
  tokensAtLeast?(text: string): number;
  /** The UTF-8 bytes of a token's text (special tokens too); undefined for an id without a token. */
  tokenBytes?(id: number): Uint8Array | undefined;
  /** A hash of all that decides about ids: the name under which tokens may be kept. Without it they cannot be cached. */
  fingerprint?(): string;
  /** What it was made from, for writing it again: do not change it. */
  files?(): TokenizerSource;
}

/** A tokenizer's files as they were read. */
export interface TokenizerSource {
  /** tokenizer.json, or what an older file says in its form. */
  json: Readonly<Record<string, unknown>>;
  /** tokenizer_config.json, with the special tokens of special_tokens_map.json and the chat template wherever they were. */
  config: Readonly<Record<string, unknown>>;
}

/** The special tokens' names in tokenizer_config.json and special_tokens_map.json. */
const SPECIAL = ["bos_token", "eos_token", "pad_token", "unk_token"] as const;
/** Their texts. */
export type SpecialTokens = Partial<Record<typeof SPECIAL[number], string>>;

/**
 * Loads the tokenizer of a Hugging Face model folder: tokenizer.json with tokenizer_config.json, special_tokens_map.json,
 * chat_template.jinja and generation_config.json where they are there. Ids are those of the Rust library `tokenizers`;
 * truncation and padding settings inside tokenizer.json are ignored.
 *
 * @param name the model's folder, a file whose name ends in .gguf, or "owner/name" on the Hub
 * @returns the tokenizer, or undefined where there is no tokenizer.json
 * @throws UserError when a file is malformed, or an end or beginning token is named that does not exist
 *
 * @example
 * ```ts
 * import { loadTokenizer } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = await loadTokenizer("tests/reference/tiny_tokenizer");
 * assert.ok(tokenizer);
 * const ids = tokenizer.encode("What is a bond?");
 * assert.equal(ids[0], tokenizer.bosId);
 * assert.equal(tokenizer.decode(ids), "What is a bond?");
 * assert.equal(await loadTokenizer("tests/reference"), undefined);
 * ```
 */
export async function loadTokenizer(name: string, options: HubOptions = {}): Promise<Tokenizer | undefined> {
  checkName("loadTokenizer", "a folder or a model's name on the Hub", name);
  if (isGguf(name)) {
    const file = await openGguf(name);
    file.close();
    return await ggufTokenizer(file.metadata, name);
  }
  const { folder, fetch } = await modelSource(name, options);
  await fetch("tokenizer");
  const files = await readTokenizerFiles(folder);
  return files && await tokenizerOf(files, folder);
}

/**
 * One of tiktoken's encodings, for counting and for models that use it. Its ranks come with the npm package js-tiktoken.
 *
 * @param name gpt2, r50k_base, p50k_base, p50k_edit, cl100k_base (GPT-4) or o200k_base (GPT-4o and later)
 * @returns a tokenizer with the encoding's ids; it adds nothing around a text and has no chat template
 * @throws UserError for another name
 *
 * @example
 * ```ts
 * import { loadEncoding } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const gpt2 = await loadEncoding("gpt2");
 * assert.deepEqual(gpt2.encode("hello world"), [31373, 995]);
 * ```
 */
export async function loadEncoding(name: EncodingName): Promise<Tokenizer> {
  return await tokenizerOf({ ...await encodingFiles(name), path: name }, name);
}

/** What a folder's other files say of a tokenizer. */
export interface TokenizerFacts {
  special: SpecialTokens;
  /** Ends of a text besides the tokenizer's own. */
  endIds: number[];
  decoderStartTokenId?: number;
  chatTemplate?: string;
}

async function tokenizerOf(files: TokenizerFiles & { path: string }, folder: string): Promise<Tokenizer> {
  const map = await readOptionalJson(join(folder, "special_tokens_map.json")) ?? {};
  return await tokenizerFrom(files, folder, {
    special: specialTokens(files.config, map),
    endIds: await endIds(folder),
    decoderStartTokenId: await decoderStart(folder),
    chatTemplate: await findChatTemplate(folder, files.config),
  });
}

/** A tokenizer from what is known of it; `source` is what errors call the whole. */
export async function tokenizerFrom(
  { json: raw, config, path }: TokenizerFiles & { path: string },
  source: string,
  { special, endIds, decoderStartTokenId, chatTemplate }: TokenizerFacts,
): Promise<Tokenizer> {
  const json = prepareTokenizerJson(raw, config, path);
  const ids = tokenIds(json);
  const named = specialIds(special, ids, source);
  const eosIds = [...new Set([...(named.eosId === undefined ? [] : [named.eosId]), ...endIds])];
  const chat = chatTemplate === undefined ? undefined : await chatRenderer(chatTemplate, special, source);
  return {
    ...await codec(json, config, path, { ...named, eosId: named.eosId ?? eosIds[0] }),
    vocabSize: [...ids.values()].reduce((highest, id) => Math.max(highest, id), -1) + 1,
    eosIds,
    decoderStartTokenId,
    chatTemplate,
    specialIds: json.added_tokens.filter((token) => token.special).map((token) => token.id),
    fingerprint: () => createHash("sha256").update(JSON.stringify([json, config])).digest("hex"),
    files: () => ({
      json: raw,
      config: {
        ...config,
        ...special,
        ...(chatTemplate === undefined ? {} : { chat_template: chatTemplate }),
      },
    }),
    applyChatTemplate(messages, options = {}): string {
      if (!chat) {
        throw new UserError(
          `${source} has no chat template (chat_template.jinja, or "chat_template" in tokenizer_config.json): choose another prompt.`,
        );
      }
      return chat.render(messages, options);
    },
    markAnswers: chat?.renderMarked,
    tokenBytes: tokenBytes(json),
  };
}

/** The tokenizer that a GGUF file carries; undefined where it has none. */
export async function ggufTokenizer(metadata: Metadata, path: string): Promise<Tokenizer | undefined> {
  const found = ggufTokenizerFiles(metadata, path);
  return found && await tokenizerFrom({ ...found.files, path }, path, found.facts);
}

/** The folder's tokenizer.json, or what its older files say, with tokenizer_config.json. */
async function readTokenizerFiles(folder: string): Promise<TokenizerFiles & { path: string } | undefined> {
  const config = await readOptionalJson(join(folder, "tokenizer_config.json")) ?? {};
  const path = join(folder, "tokenizer.json");
  const json = await readOptionalJson(path);
  if (json !== undefined) return { json, config, path };
  for (const name of ["tokenizer.model", "qwen.tiktoken"]) {
    const path = join(folder, name);
    const bytes = await readOptionalBytes(path);
    if (bytes === undefined) continue;
    const read = isRankFile(bytes) ? readRankFile : readSentencePiece;
    return { ...read(bytes, config, path), path };
  }
  return undefined;
}

interface NamedIds {
  bosId?: number;
  eosId?: number;
  padId?: number;
  unkId?: number;
}

/** `encode` and `decode` over the library, and what `encode` adds. */
async function codec(
  json: TokenizerJson,
  config: JsonObject,
  path: string,
  named: NamedIds,
): Promise<NamedIds & Pick<Tokenizer, "encode" | "tokensAtLeast" | "decode" | "addsBos" | "addsEos">> {
  const library = await buildLibrary(json, config, path);
  const plain = library.encode("a", { add_special_tokens: false }).ids;
  const full = library.encode("a", { add_special_tokens: true }).ids;
  const addsBos = named.bosId !== undefined && full[0] === named.bosId && plain[0] !== named.bosId;
  const addsEos = named.eosId !== undefined && full.at(-1) === named.eosId && plain.at(-1) !== named.eosId;
  const specials = new Set(json.added_tokens.filter((token) => token.special).map((token) => token.id));
  const byWords = wordEncoder(library, json, config);
  const addSpecials = specialAdder(plain, full);
  const encodeWith = (text: string, special: boolean) => {
    const ids = special && !addSpecials ? undefined : byWords(text);
    if (!ids) return library.encode(text, { add_special_tokens: special }).ids;
    return special ? addSpecials!(ids) : ids;
  };
  return {
    ...named,
    addsBos,
    addsEos,
    encode(text, options = {}): number[] {
      const special = options.addSpecialTokens ?? true;
      const ids = withoutOverflow(text, () => encodeWith(text, special));
      const twice = special && addsBos && ids.length > 1 && ids[0] === named.bosId && ids[1] === named.bosId;
      return twice ? ids.slice(1) : ids;
    },
    tokensAtLeast: fewestTokens(library, json, config),
    decode(ids, options = {}): string {
      const skip = options.skipSpecialTokens ?? true;
      const kept = Array.from(ids).filter((id) =>
        library.id_to_token(id) !== undefined && !(skip && specials.has(id))
      );
      return kept.length === 0 ? "" : library.decode(kept, { skip_special_tokens: false });
    },
  };
}

/** The library hands a word's tokens on as a call's arguments, and of these there may be a hundred thousand. */
function withoutOverflow<T>(text: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UserError(
      `A text of ${text.length} characters has a word that is too long to be tokenized: break it by spaces.`,
    );
  }
}

/** What the post-processor adds around any ids, seen in what it added to these; undefined where it does something else. */
function specialAdder(plain: number[], full: number[]): ((ids: number[]) => number[]) | undefined {
  const lead = full.findIndex((_, at) => plain.every((id, i) => full[at + i] === id));
  if (lead < 0 || plain.length === 0) return undefined;
  const [before, after] = [full.slice(0, lead), full.slice(lead + plain.length)];
  return (ids) => [...before, ...ids, ...after];
}

async function buildLibrary(
  json: TokenizerJson,
  config: JsonObject,
  path: string,
): Promise<import("@huggingface/tokenizers").Tokenizer> {
  const { Tokenizer: Library } = await import("@huggingface/tokenizers");
  const guarded = <A extends unknown[], R>(run: (...given: A) => R) => (...given: A): R => {
    try {
      return run(...given);
    } catch (error) {
      if (error instanceof RangeError) throw error;
      throw new UserError(`${path} cannot be used: ${(error as Error).message}.`);
    }
  };
  return guarded(() => {
    // Cleaning up spaces changes text that was tokenized as it stood; Transformers 5 does it only where it is asked for.
    const library = new Library(json, {
      ...config,
      clean_up_tokenization_spaces: config.clean_up_tokenization_spaces ?? false,
    });
    // It looks at parts of the file only when it needs them: a malformed one shows at a text.
    library.encode = guarded(library.encode.bind(library)) as typeof library.encode;
    library.decode = guarded(library.decode.bind(library));
    return library;
  })();
}

function specialTokens(config: JsonObject, map: JsonObject): SpecialTokens {
  const found: SpecialTokens = {};
  for (const name of SPECIAL) {
    const value = config[name] ?? map[name];
    const text = isObject(value) ? value.content : value;
    if (typeof text === "string") found[name] = text;
  }
  return found;
}

// A padding or unknown token that the vocabulary lacks does no harm: nothing here needs it.
function specialIds(special: SpecialTokens, ids: Map<string, number>, folder: string): NamedIds {
  for (const name of ["bos_token", "eos_token"] as const) {
    const token = special[name];
    if (token !== undefined && !ids.has(token)) {
      throw new UserError(
        `${folder}: the ${name} ${
          JSON.stringify(token)
        } is not in tokenizer.json: the files do not belong together.`,
      );
    }
  }
  const id = (name: typeof SPECIAL[number]) => ids.get(special[name] ?? "");
  return { bosId: id("bos_token"), eosId: id("eos_token"), padId: id("pad_token"), unkId: id("unk_token") };
}

// By config.json, which speaks of a padding token where it names no start.
async function decoderStart(folder: string): Promise<number | undefined> {
  const config = await readOptionalJson(join(folder, "config.json")) ?? {};
  if (config.is_encoder_decoder !== true && config.model_type !== "t5") return undefined;
  const id = config.decoder_start_token_id ?? config.pad_token_id;
  return Number.isSafeInteger(id) && Number(id) >= 0 ? Number(id) : undefined;
}

// generation_config.json, or config.json for older models, may name more or other ends than the tokenizer.
async function endIds(folder: string): Promise<number[]> {
  for (const file of ["generation_config.json", "config.json"]) {
    const value = (await readOptionalJson(join(folder, file)))?.eos_token_id;
    if (value === undefined || value === null) continue;
    const ids: unknown[] = [value].flat();
    if (!ids.every((id) => Number.isInteger(id) && Number(id) >= 0)) {
      throw new UserError(`${join(folder, file)}: "eos_token_id" should be a token id or a list of them.`);
    }
    return ids as number[];
  }
  return [];
}
