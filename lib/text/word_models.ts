// A word's ids by BPE merges or by Unigram's most likely pieces, with tables of numbers in place of the library's strings: for
// the short words without unknown characters that nearly all words are. The rest is the library's.

import type { TokenizerJson } from "./tokenizer_json.ts";

/** Gives a word's ids, or undefined where the library has to. */
export type WordModel = (word: string) => number[] | undefined;

/** Longer words are left to the library's heap: looking for the next merge costs the square of the length here. */
const LONGEST = 64;

/** The fast way for a tokenizer's model, if it has one. */
export function wordModel(json: TokenizerJson): WordModel | undefined {
  const { model } = json;
  if (model.type === "Unigram") {
    return unigramModel(model.vocab as [string, number][], model.unk_id as number | null);
  }
  const plain = model.type === "BPE" && !model.dropout && !model.end_of_word_suffix &&
    !model.continuing_subword_prefix && !model.continuing_subword_suffix;
  if (!plain) return undefined;
  return bpeModel(
    new Map(Object.entries(model.vocab as Record<string, number>)),
    model.merges as (string | [string, string])[],
    Boolean(model.ignore_merges),
  );
}

/** The key of a pair of ids, both below 2^24. */
const pairKey = (left: number, right: number): number => left * 2 ** 24 + right;

/** Merges the pair that stands first in the list of merges, the leftmost where it comes twice, until none is left. */
function bpeModel(
  ids: Map<string, number>,
  merges: (string | [string, string])[],
  whole: boolean,
): WordModel {
  const ranks = new Map<number, number>();
  const merged = new Int32Array(merges.length);
  merges.forEach((merge, rank) => {
    const [left, right] = typeof merge === "string" ? merge.split(" ", 2) : merge;
    const [a, b, both] = [ids.get(left), ids.get(right), ids.get(left + right)];
    if (a === undefined || b === undefined || both === undefined) return;
    ranks.set(pairKey(a, b), rank);
    merged[rank] = both;
  });
  return (word) => {
    if (word.length > LONGEST) return undefined;
    const known = whole ? ids.get(word) : undefined;
    if (known !== undefined) return [known];
    const parts: number[] = [];
    for (const character of word) {
      const id = ids.get(character);
      if (id === undefined) return undefined;
      parts.push(id);
    }
    const next = parts.map((id, i) =>
      i + 1 < parts.length ? ranks.get(pairKey(id, parts[i + 1])) ?? Infinity : Infinity
    );
    for (;;) {
      let at = 0;
      for (let i = 1; i < next.length; i++) if (next[i] < next[at]) at = i;
      if (!(next[at] < Infinity)) return parts;
      parts.splice(at, 2, merged[next[at]]);
      next.splice(at, 1);
      if (at > 0) next[at - 1] = ranks.get(pairKey(parts[at - 1], parts[at])) ?? Infinity;
      next[at] = at + 1 < parts.length ? ranks.get(pairKey(parts[at], parts[at + 1])) ?? Infinity : Infinity;
    }
  };
}

/** The pieces with the highest sum of scores; of equal ones the longest last piece. */
function unigramModel(vocab: [string, number][], unknown: number | null): WordModel {
  const { child, idAt } = trieOf(vocab, unknown);
  return (word) => {
    if (word.length > LONGEST || /[\ud800-\udfff]/.test(word)) return undefined;
    const best = new Float64Array(word.length + 1).fill(-Infinity);
    const from = new Int32Array(word.length + 1), piece = new Int32Array(word.length + 1);
    best[0] = 0;
    for (let start = 0; start < word.length; start++) {
      let node: number | undefined = 0;
      for (let end = start + 1; end <= word.length; end++) {
        node = child(node, word.charCodeAt(end - 1));
        const id = node === undefined ? -1 : idAt[node];
        if (id < 0 && end === start + 1) return undefined; // an unknown character may have the best score of all
        if (node === undefined) break;
        const score = id < 0 ? -Infinity : best[start] + vocab[id][1];
        if (score <= best[end]) continue;
        best[end] = score;
        from[end] = start;
        piece[end] = id;
      }
    }
    const found: number[] = [];
    for (let end = word.length; end > 0; end = from[end]) found.push(piece[end]);
    return found.reverse();
  };
}

/** The pieces as a tree of characters: `idAt` is -1 where no piece ends. */
function trieOf(vocab: [string, number][], unknown: number | null): {
  child: (node: number, code: number) => number | undefined;
  idAt: number[];
} {
  const children = new Map<number, number>();
  const idAt = [-1];
  vocab.forEach(([piece], id) => {
    if (id === unknown) return;
    let node = 0;
    for (let i = 0; i < piece.length; i++) {
      const key = node * 2 ** 16 + piece.charCodeAt(i);
      const next = children.get(key) ?? idAt.push(-1) - 1;
      children.set(key, next);
      node = next;
    }
    idAt[node] = id;
  });
  return { child: (node, code) => children.get(node * 2 ** 16 + code), idAt };
}
