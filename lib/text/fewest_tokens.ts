// How many tokens a text has at least, told from its characters alone: what is far too long is known without tokenizing it.

import type { Tokenizer as Library } from "@huggingface/tokenizers";
import { isObject, type JsonObject } from "./files.ts";
import { BYTE_CHARACTERS } from "./token_bytes.ts";
import type { TokenizerJson } from "./tokenizer_json.ts";
import { addedTokens } from "./word_encoder.ts";

/**
 * A function that gives a number of tokens which no text falls below. It is not exact, but certain: a symbol (a byte of
 * GPT-2's kind, a character of SentencePiece's) counts as 1/L, where L symbols are in the longest token that has it, so that no
 * token counts more than 1. What might be dropped (white space by some), fused (unknown characters) or swallowed counts
 * nothing. The normalizer is asked, not guessed. 0 where the tokenizer's parts tell nothing.
 */
export function fewestTokens(
  library: Library,
  json: TokenizerJson,
  config: JsonObject,
): (text: string) => number {
  const loses = lost(json.pre_tokenizer);
  const changed = config.remove_space || config.do_lowercase_and_remove_accent;
  if (loses === undefined || changed) return () => 0;
  const added = addedTokens(library, json),
    tokens = new Map(json.added_tokens.map((one) => [one.content, one]));
  let longest: Map<string, number> | undefined; // only when first asked: it takes a tenth of a second
  return (text) => {
    longest ??= longestTokens(library, json);
    const counts: number[] = [];
    const pieces = added.pattern ? text.split(added.pattern) : [text];
    pieces.forEach((piece, i) => {
      if (added.ids.has(piece)) return void (counts[1] = (counts[1] ?? 0) + 1);
      // As the library does: these tokens take the white space beside them along.
      let left = tokens.get(pieces[i + 1])?.lstrip ? piece.trimEnd() : piece;
      if (tokens.get(pieces[i - 1])?.rstrip) left = left.trimStart();
      if (left === "") return; // the normalizer may put something in front
      const normal = library.normalizer === null ? left : library.normalizer.normalize(left);
      if (added.late?.test(normal)) return; // tokens that are searched for behind the normalizer may do so too
      count(loses.spelled(without(library, normal)), longest!, counts);
    });
    const worth = counts.reduce((sum, symbols, length) => sum + symbols / length, 0);
    return Math.max(0, Math.ceil(worth - 1e-6)); // sums of fractions are not exact
  };
}

function count(symbols: Iterable<string>, longest: ReadonlyMap<string, number>, counts: number[]): void {
  for (const symbol of symbols) {
    const length = longest.get(symbol) ?? longest.get("") ?? 0;
    if (length > 0) counts[length] = (counts[length] ?? 0) + 1;
  }
}

/** Unknown tokens in a row are one, also where the text itself spells them. */
function without({ model }: Library, text: string): string {
  const unknown = model!.unk_token;
  return model!.fuse_unk && unknown ? text.replaceAll(unknown, "") : text;
}

/**
 * For each symbol of the vocabulary how many symbols the longest token with it has; under "" what one that is in no token
 * counts as. Empty where the model may do something else with symbols than to put them together to tokens.
 */
function longestTokens(library: Library, json: TokenizerJson): Map<string, number> {
  const model = library.model as Library["model"] & { bpe_ranks?: unknown; trie?: unknown };
  const { vocab, merges = [], ...rest } = json.model, longest = new Map<string, number>();
  const names = new Set(
    Array.isArray(vocab) ? vocab.map(([name]) => name as string) : Object.keys(vocab as object),
  );
  const joined = merges as (string | [string, string])[];
  const joins = model!.bpe_ranks !== undefined && !rest.end_of_word_suffix &&
    !rest.continuing_subword_prefix &&
    !rest.continuing_subword_suffix &&
    joined.every((pair) => names.has(typeof pair === "string" ? pair.replace(" ", "") : pair[0] + pair[1]));
  if (!joins && model!.trie === undefined) return longest;
  for (const name of names) {
    const symbols = [...name];
    for (const symbol of symbols) longest.set(symbol, Math.max(symbols.length, longest.get(symbol) ?? 0));
  }
  const bytes = joins && rest.byte_fallback === true &&
    BYTE_CHARACTERS.every((_, byte) => names.has(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`));
  if (bytes) longest.set("", 1); // at least a byte's token
  else for (const symbol of longest.keys()) if (!names.has(symbol)) longest.delete(symbol); // unknown by itself
  return longest;
}

/** The symbols that a pre-tokenizer hands on, without those that it may lose; undefined where nobody knows. */
function lost(preTokenizer: unknown): { spelled(text: string): Iterable<string> } | undefined {
  const parts = flat(preTokenizer), types = new Set(parts.map(({ type }) => type));
  const bytes = types.has("ByteLevel"), spaces = types.has("Metaspace");
  if (!parts.every(isKnown) || bytes && spaces) return undefined;
  const losesSpace = ["Whitespace", "WhitespaceSplit", "BertPreTokenizer"].some((type) => types.has(type));
  return {
    spelled(text) {
      const kept = losesSpace ? text.replace(/\s+/g, "") : spaces ? text.replaceAll(" ", "▁") : text;
      return bytes ? Array.from(new TextEncoder().encode(kept), (byte) => BYTE_CHARACTERS[byte]) : kept;
    },
  };
}

function flat(part: unknown): JsonObject[] {
  if (!isObject(part)) return [];
  return part.type === "Sequence" && Array.isArray(part.pretokenizers)
    ? part.pretokenizers.flatMap(flat)
    : [part];
}

function isKnown({ type, ...part }: JsonObject): boolean {
  if (type === "Metaspace") return (part.replacement ?? "▁") === "▁" && !part.str_rep;
  if (type === "Split") {
    const { Regex, String } = isObject(part.pattern) ? part.pattern : {};
    const isRemoved = `${part.behavior}`.toLowerCase() === "removed";
    return !part.invert && !isRemoved && typeof (Regex ?? String) === "string";
  }
  const others = ["ByteLevel", "Digits", "Punctuation", "Whitespace", "WhitespaceSplit", "BertPreTokenizer"];
  return others.includes(type as string);
}
