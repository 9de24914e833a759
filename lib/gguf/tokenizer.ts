// A tokenizer out of a GGUF file's metadata, said as the tokenizer.json that it was made from.
import { UserError } from "../errors.ts";
import type { JsonObject } from "../text/files.ts";
import { type PieceModel, sentencePieceFiles, type TokenizerFiles } from "../text/sentencepiece.ts";
import type { SpecialTokens, TokenizerFacts } from "../text/tokenizer.ts";
import { endIds } from "./ends.ts";
import { type MetadataReader, metadataReader } from "./metadata_reader.ts";
import { preTokenizerJson } from "./pre_tokenizers.ts";
import type { Metadata } from "./values.ts";
import { tokenTypes } from "./token_types.ts";

/** What every kind has. */
interface Vocabulary {
  tokens: string[];
  types: number[];
  read: MetadataReader;
  id(name: string): number | undefined;
  path: string;
}

/**
 * What a GGUF file says of its tokenizer; undefined where it has none.
 *
 * @throws UserError for a kind that is not supported, or lists that do not belong together
 */
export function ggufTokenizerFiles(
  metadata: Metadata,
  path: string,
): { files: TokenizerFiles; facts: TokenizerFacts } | undefined {
  const read = metadataReader(metadata, path), kind = read.text("tokenizer.ggml.model");
  if (kind === undefined || kind === "none" || kind === "no_vocab") return undefined;
  const tokens = read.list<string>("tokenizer.ggml.tokens", "string") ?? [];
  const types = read.list<number>("tokenizer.ggml.token_type", "number") ??
    tokens.map(() => tokenTypes.normal);
  if (tokens.length === 0 || types.length !== tokens.length) {
    throw new UserError(`${path}: ${tokens.length} tokens, but ${types.length} types of tokens.`);
  }
  const id = (name: string) => {
    const found = read.number(`tokenizer.ggml.${name}_token_id`);
    return found !== undefined && found < tokens.length ? found : undefined;
  };
  const vocabulary = { tokens, types, read, id, path };
  const files = kind === "gpt2"
    ? byteLevel(vocabulary)
    : kind === "llama" || kind === "t5"
    ? pieceFiles(vocabulary, kind)
    : undefined;
  if (!files) throw new UserError(`${path}: a tokenizer of kind ${JSON.stringify(kind)} is not supported.`);
  const named = { bos_token: "bos", eos_token: "eos", pad_token: "padding", unk_token: "unknown" };
  const special: SpecialTokens = Object.fromEntries(
    Object.entries(named).flatMap(([name, key]) => id(key) === undefined ? [] : [[name, tokens[id(key)!]]]),
  );
  const facts = {
    special,
    endIds: endIds(read).filter((id) => id < tokens.length),
    chatTemplate: read.text("tokenizer.chat_template"),
    decoderStartTokenId: read.number("t5.decoder_start_token_id"),
  };
  return { files: { json: files.json, config: { ...files.config, ...special } }, facts };
}

/** Control tokens and the user's are added ones; what only fills up the embedding is no token. */
function addedTokens({ tokens, types }: Vocabulary): JsonObject[] {
  const added = new Set<number>([tokenTypes.unknown, tokenTypes.control, tokenTypes.userDefined]);
  return tokens.flatMap((content, id) => {
    if (!added.has(types[id]) || content === "") return [];
    return [{ id, content, special: types[id] !== tokenTypes.userDefined, normalized: false }];
  });
}

function byteLevel(vocabulary: Vocabulary): TokenizerFiles {
  const { tokens, types, read, path } = vocabulary;
  const pre = read.text("tokenizer.ggml.pre") ?? "default", parts = preTokenizerJson(pre);
  if (!parts) {
    throw new UserError(
      `${path}: words are split as llama.cpp's ${JSON.stringify(pre)} does, which is not known here.`,
    );
  }
  const merges = read.list<string>("tokenizer.ggml.merges", "string") ?? [];
  const pairs = merges.map((merge) => {
    const at = merge.indexOf(" ", 1); // as llama.cpp splits them
    if (at < 0) throw new UserError(`${path}: ${JSON.stringify(merge)} is no merge of two tokens.`);
    return [merge.slice(0, at), merge.slice(at + 1)];
  });
  const vocab = Object.fromEntries(
    tokens.flatMap((token, id) => types[id] === tokenTypes.unused || token === "" ? [] : [[token, id]]),
  );
  // Where the file is silent: what llama.cpp does, which adds BOS for Llama 3's kind only.
  const addsBos = read.flag("tokenizer.ggml.add_bos_token") ?? pre === "llama-bpe";
  return {
    json: {
      version: "1.0",
      added_tokens: addedTokens(vocabulary),
      normalizer: parts.normalizer,
      pre_tokenizer: parts.pre_tokenizer,
      post_processor: around(vocabulary, addsBos, read.flag("tokenizer.ggml.add_eos_token") ?? false),
      decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
      model: { type: "BPE", vocab, merges: pairs, ignore_merges: parts.ignore_merges },
    },
    config: {},
  };
}

function around({ tokens, id }: Vocabulary, addsBos: boolean, addsEos: boolean): JsonObject | null {
  const item = (id: number) => ({ SpecialToken: { id: tokens[id], type_id: 0 } });
  const bos = addsBos ? id("bos") : undefined, eos = addsEos ? id("eos") : undefined;
  const used = [bos, eos].filter((id) => id !== undefined);
  if (used.length === 0) return null;
  const single = [
    ...bos === undefined ? [] : [item(bos)],
    { Sequence: { id: "A", type_id: 0 } },
    ...eos === undefined ? [] : [item(eos)],
  ];
  const special_tokens = Object.fromEntries(
    used.map((id) => [tokens[id], { id: tokens[id], ids: [id], tokens: [tokens[id]] }]),
  );
  return { type: "TemplateProcessing", single, pair: single, special_tokens };
}

/** llama.cpp's types and scores of tokens are SentencePiece's own. */
function pieceFiles(vocabulary: Vocabulary, kind: "llama" | "t5"): TokenizerFiles {
  const { tokens, types, read, id, path } = vocabulary;
  const scores = read.list<number>("tokenizer.ggml.scores", "number");
  if (!scores || scores.length !== tokens.length) {
    throw new UserError(`${path}: ${tokens.length} tokens, but ${scores?.length ?? "no"} scores.`);
  }
  const last = types.findLastIndex((type) => type !== tokenTypes.unused);
  const model: PieceModel = {
    pieces: tokens.slice(0, last + 1).map((text, id) => ({
      text: types[id] === tokenTypes.userDefined ? text.replaceAll(" ", "▁") : text,
      score: scores[id],
      type: types[id],
    })),
    unigram: kind === "t5",
    byteFallback: types.includes(tokenTypes.byte),
    unkId: id("unknown") ?? Math.max(0, types.indexOf(tokenTypes.unknown)),
    bosId: id("bos") ?? -1,
    eosId: id("eos") ?? -1,
    padId: id("padding") ?? -1,
    charsmap: Uint8Array.from(read.list<number>("tokenizer.ggml.precompiled_charsmap", "number") ?? []),
    dummyPrefix: read.flag("tokenizer.ggml.add_space_prefix") ?? true,
    removeSpaces: read.flag("tokenizer.ggml.remove_extra_whitespaces") ?? false,
  };
  return sentencePieceFiles(model, {
    add_bos_token: read.flag("tokenizer.ggml.add_bos_token") ?? kind === "llama",
    add_eos_token: read.flag("tokenizer.ggml.add_eos_token") ?? kind === "t5",
  });
}
