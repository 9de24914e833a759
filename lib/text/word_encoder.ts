// Text to ids by the library's own parts, which are asked for every word once: what they made of a word is remembered.

import type { PreTokenizer, Tokenizer as Library } from "@huggingface/tokenizers";
import { boundedMap } from "./bounded_map.ts";
import type { JsonObject } from "./files.ts";
import type { TokenizerJson } from "./tokenizer_json.ts";
import { type WordModel, wordModel } from "./word_models.ts";

/** Words longer than this are seldom met twice. */
const LONGEST_REMEMBERED = 64;
/** Words remembered at least; at most twice as many. */
const REMEMBERED = 1 << 16;

/** What is seen of the library's parts beyond its types. */
type Stage = PreTokenizer & { tokenizers?: Stage[]; config?: JsonObject };

/**
 * A function that gives the library's ids without special tokens, or undefined for the few texts that only the library
 * itself can do: tokens that swallow the space beside them, tokens searched for behind the normalizer, unknown words in a row.
 */
export function wordEncoder(
  library: Library,
  json: TokenizerJson,
  config: JsonObject,
): (text: string) => number[] | undefined {
  if (config.remove_space || config.do_lowercase_and_remove_accent) return () => undefined;
  const added = addedTokens(library, json);
  const words = wordSplitter(library);
  const idsOf = wordIds(library, words.finish, wordModel(json));
  const unknown = library.model!.fuse_unk ? library.model!.unk_token_id : undefined;

  /** Appends the ids of a text that holds no added token. */
  const section = (text: string, index: number, ids: number[]): boolean => {
    const normal = library.normalizer === null ? text : library.normalizer.normalize(text);
    if (added.late?.test(normal)) return false;
    for (const word of normal === "" ? [] : words.split(normal, index)) {
      const found = idsOf(word);
      // The library makes one of unknown tokens in a row, over words as well.
      if (found[0] === unknown && unknown !== undefined && ids.at(-1) === unknown) return false;
      for (let i = 0; i < found.length; i++) ids.push(found[i]);
    }
    return true;
  };

  return (text) => {
    const ids: number[] = [];
    if (text === "") return [];
    if (!added.pattern?.test(text)) return section(text, 0, ids) ? ids : undefined;
    const pieces = text.split(added.pattern).filter((piece) => piece !== "");
    for (const [index, piece] of pieces.entries()) {
      const token = added.ids.get(piece);
      if (token === undefined) {
        if (!section(piece, index, ids)) return undefined;
      } else if (token.alone) ids.push(token.id);
      else return undefined;
    }
    return ids;
  };
}

/** The tokens that are cut out of a text first: the longest where several begin at the same place. */
export function addedTokens(library: Library, json: TokenizerJson): {
  ids: Map<string, { id: number; alone: boolean }>;
  pattern?: RegExp;
  late?: RegExp;
} {
  const ids = new Map<string, { id: number; alone: boolean }>();
  const late: string[] = [];
  for (const token of json.added_tokens) {
    const normalized = library.normalizer !== null && (token.normalized ?? !token.special);
    if (normalized) late.push(library.normalizer!.normalize(token.content));
    else ids.set(token.content, { id: token.id, alone: !token.lstrip && !token.rstrip });
  }
  return { ids, pattern: anyOf([...ids.keys()]), late: anyOf(late) };
}

function anyOf(texts: string[]): RegExp | undefined {
  if (texts.length === 0) return undefined;
  const longestFirst = texts.toSorted((a, b) => b.length - a.length);
  return new RegExp(
    `(${longestFirst.map((text) => text.replace(/[.*+?^${}()|[\]\\\/]/g, "\\$&")).join("|")})`,
  );
}

/** The pre-tokenizer, and its last stage by itself where that stage only spells a word's bytes. */
function wordSplitter(library: Library): {
  split: (text: string, index: number) => string[];
  finish: (word: string) => string[];
} {
  const stages = flatStages(library.pre_tokenizer);
  const last = stages.at(-1);
  const spells = last?.config?.type === "ByteLevel" && last.config.use_regex === false &&
    !last.config.add_prefix_space;
  const first = spells ? stages.slice(0, -1) : stages;
  return {
    split: (text, index) =>
      first.reduce((words, stage) => stage.pre_tokenize(words, { section_index: index }), [text]),
    finish: spells ? (word) => last.pre_tokenize(word) : (word) => [word],
  };
}

function flatStages(stage: Stage | null): Stage[] {
  return stage === null ? [] : stage.tokenizers?.flatMap(flatStages) ?? [stage];
}

/** A word's ids, remembered. */
function wordIds(
  library: Library,
  finish: (word: string) => string[],
  fast: WordModel | undefined,
): (word: string) => readonly number[] {
  const model = library.model!;
  const known = boundedMap<string, readonly number[]>(REMEMBERED);
  const slow = (tokens: string[]) =>
    model(tokens).map((token) => (model.tokens_to_ids.get(token) ?? model.unk_token_id) as number);
  return (word) => {
    const found = known.get(word);
    if (found !== undefined) return found;
    const tokens = finish(word);
    const ids = (tokens.length === 1 ? fast?.(tokens[0]) : undefined) ?? slow(tokens);
    if (word.length <= LONGEST_REMEMBERED) known.set(word, ids);
    return ids;
  };
}
