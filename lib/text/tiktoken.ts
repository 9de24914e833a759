// tiktoken's encodings: ranks of byte strings, said as a tokenizer.json, so that one library tokenizes all.

import { Buffer } from "node:buffer";
import { UserError } from "../errors.ts";
import type { JsonObject } from "./files.ts";
import { splitsOf, type TokenizerFiles } from "./sentencepiece.ts";
import { BYTE_CHARACTERS } from "./token_bytes.ts";

/** The encodings that {@linkcode loadEncoding} knows by name. */
export type EncodingName = "gpt2" | "r50k_base" | "p50k_base" | "p50k_edit" | "cl100k_base" | "o200k_base";

type Ranks = typeof import("js-tiktoken/ranks/gpt2").default;
const ENCODINGS: Record<EncodingName, () => Promise<{ default: Ranks }>> = {
  gpt2: () => import("js-tiktoken/ranks/gpt2"),
  r50k_base: () => import("js-tiktoken/ranks/r50k_base"),
  p50k_base: () => import("js-tiktoken/ranks/p50k_base"),
  p50k_edit: () => import("js-tiktoken/ranks/p50k_edit"),
  cl100k_base: () => import("js-tiktoken/ranks/cl100k_base"),
  o200k_base: () => import("js-tiktoken/ranks/o200k_base"),
};

/** The files of a named encoding, from the ranks that npm's js-tiktoken carries. */
export async function encodingFiles(name: string): Promise<TokenizerFiles> {
  if (!Object.hasOwn(ENCODINGS, name)) {
    throw new UserError(
      `there is no encoding ${JSON.stringify(name)}: known are ${Object.keys(ENCODINGS).join(", ")}.`,
    );
  }
  const { pat_str, special_tokens, bpe_ranks } = (await ENCODINGS[name as EncodingName]()).default;
  const ids = new Map<string, number>();
  for (const line of bpe_ranks.split("\n")) { // "! 0 IQ== Ig== ...": tokens of ids that follow one another
    const [, first, ...tokens] = line.split(" ");
    tokens.forEach((token, i) => ids.set(byteLevel(token), Number(first) + i));
  }
  return filesOf(ids, pat_str, special_tokens, { eos_token: "<|endoftext|>" });
}

const WORDS = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|` +
  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const range = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

/** Models with a file of ranks, told by how many there are: the file names neither its pattern nor its special tokens. */
const FAMILIES: Record<number, { words: string; specials: string[]; config: JsonObject; addBos?: string }> = {
  151643: { // Qwen 1 and 1.5
    words: WORDS("\\p{N}"),
    specials: ["<|endoftext|>", "<|im_start|>", "<|im_end|>", ...range(205).map((i) => `<|extra_${i}|>`)],
    config: { eos_token: "<|endoftext|>", pad_token: "<|endoftext|>" },
  },
  128000: { // Llama 3 as Meta gives it
    words: WORDS("\\p{N}{1,3}"),
    specials: [
      "<|begin_of_text|>",
      "<|end_of_text|>",
      ...range(4).map((i) => `<|reserved_special_token_${i}|>`),
      "<|start_header_id|>",
      "<|end_header_id|>",
      "<|reserved_special_token_4|>",
      "<|eot_id|>",
      ...range(246, 5).map((i) => `<|reserved_special_token_${i}|>`),
    ],
    config: { bos_token: "<|begin_of_text|>", eos_token: "<|end_of_text|>" },
    addBos: "<|begin_of_text|>",
  },
};

/** True for a file of lines "base64 rank". */
export function isRankFile(bytes: Uint8Array): boolean {
  return /^[A-Za-z0-9+/]+=* \d+\r?\n/.test(new TextDecoder().decode(bytes.subarray(0, 200)));
}

/** Reads a file of ranks (qwen.tiktoken, Llama 3's tokenizer.model); `config` is tokenizer_config.json. */
export function readRankFile(bytes: Uint8Array, config: JsonObject, path: string): TokenizerFiles {
  const ids = new Map<string, number>();
  for (const [i, line] of new TextDecoder().decode(bytes).split(/\r?\n/).entries()) {
    if (line === "") continue;
    const [token, rank, more] = line.split(" ");
    if (more !== undefined || !/^[A-Za-z0-9+/]+=*$/.test(token) || !/^\d{1,8}$/.test(rank)) {
      throw new UserError(`${path}, line ${i + 1}: should be a token in base64 and its rank.`);
    }
    ids.set(byteLevel(token), Number(rank));
  }
  const family = FAMILIES[ids.size];
  if (!family) {
    throw new UserError(
      `${path} has ${ids.size} ranks: known are Qwen's (151643) and Llama 3's (128000); convert the tokenizer to tokenizer.json.`,
    );
  }
  const special = Object.fromEntries(family.specials.map((token, i) => [token, ids.size + i]));
  return filesOf(ids, family.words, special, { ...family.config, ...config }, family.addBos);
}

// tiktoken merges the pair of lowest rank and takes a word whole where it is a token: "ignore_merges".
function filesOf(
  ids: Map<string, number>,
  words: string,
  special: Record<string, number>,
  config: JsonObject,
  bos?: string,
): TokenizerFiles {
  const merges = [...ids].sort((a, b) => a[1] - b[1]).flatMap(([token]) => splitsOf(token, ids));
  const byteLevelPart = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  const single = [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }];
  const special_tokens = { [`${bos}`]: { id: bos, ids: [special[`${bos}`]], tokens: [bos] } };
  return {
    json: {
      version: "1.0",
      added_tokens: Object.entries(special).map(([content, id]) => ({
        id,
        content,
        special: true,
        normalized: false,
      })),
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          { type: "Split", pattern: { Regex: words }, behavior: "Isolated", invert: false },
          byteLevelPart,
        ],
      },
      post_processor: bos === undefined
        ? null
        : { type: "TemplateProcessing", single, pair: single, special_tokens },
      decoder: byteLevelPart,
      model: { type: "BPE", vocab: Object.fromEntries(ids), merges, ignore_merges: true },
    },
    config,
  };
}

function byteLevel(base64: string): string {
  return Array.from(Buffer.from(base64, "base64"), (byte) => BYTE_CHARACTERS[byte]).join("");
}
