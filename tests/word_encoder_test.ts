// Ids by remembered words against those of the library itself, on texts that mix everything a tokenizer treats in its own way.

import { Tokenizer as Library } from "@huggingface/tokenizers";
import assert from "node:assert/strict";
import { seededRandom } from "../lib/data/random.ts";
import { boundedMap } from "../lib/text/bounded_map.ts";
import { prepareTokenizerJson } from "../lib/text/tokenizer_json.ts";
import { wordEncoder } from "../lib/text/word_encoder.ts";

const TINY = new URL("./reference/tiny_tokenizer/", import.meta.url).pathname;
const json = JSON.parse(await Deno.readTextFile(TINY + "tokenizer.json"));

const WORDS = [
  "bond",
  " bond",
  "  ",
  "\n\n",
  "a",
  " I'll",
  " 12.5%",
  "½",
  "é",
  "e\u0301",
  "▁",
  "<s>",
  "</s>",
  "<",
  "s>",
]
  .concat([
    "日本",
    "🙂",
    "\u0085",
    "\ufeff",
    "\t",
    "x".repeat(80),
    " Überschuß",
    "<|im_end|>",
    "\ud800",
    "$",
    "ﬁ",
  ]);

function texts(count: number): string[] {
  const random = seededRandom(5);
  const below = (limit: number) => Math.floor(random() * limit);
  return Array.from(
    { length: count },
    () => Array.from({ length: below(12) }, () => WORDS[below(WORDS.length)]).join(""),
  );
}

/** How many texts were encoded by words; every one of them as the library encodes it. */
function compared(changes: object, config = {}): number {
  const prepared = prepareTokenizerJson({ ...json, ...changes }, config, "tiny");
  const library = new Library(prepared, config);
  const encode = wordEncoder(library, prepared, config);
  const all = texts(2000);
  return all.filter((text) => {
    const ids = encode(text);
    if (ids) {
      assert.deepEqual(ids, library.encode(text, { add_special_tokens: false }).ids, JSON.stringify(text));
    }
    return ids !== undefined;
  }).length;
}

const added = (more: object) => [...json.added_tokens, { id: 399, content: "🙂", special: false, ...more }];

Deno.test("words: ids of 2,000 mixed texts equal the library's, whatever the tokenizer does first", () => {
  assert.equal(compared({}), 2000);
  assert.equal(compared({ normalizer: { type: "NFKC" } }), 2000);
  assert.equal(compared({ normalizer: { type: "Lowercase" }, pre_tokenizer: { type: "Metaspace" } }), 2000);
  assert.equal(compared({ pre_tokenizer: null }), 2000);
  assert.equal(compared({ added_tokens: added({ normalized: false }) }), 2000);
  assert.equal(compared({ pre_tokenizer: { type: "ByteLevel", add_prefix_space: true } }), 2000);
});

Deno.test("words: BPE's and Unigram's own tables give the library's ids, ties and unknown characters too", () => {
  const merges = json.model.merges.map((merge: string | string[]) =>
    typeof merge === "string" ? merge.split(" ") : merge
  );
  assert.equal(compared({ model: { ...json.model, merges } }), 2000);
  assert.equal(compared({ model: { ...json.model, ignore_merges: true } }), 2000);
  const pieces = [
    "▁",
    "b",
    "o",
    "n",
    "d",
    "bo",
    "nd",
    "on",
    "▁b",
    "bond",
    "▁bond",
    "a",
    "1",
    "2",
    ".",
    "5",
    "2.5",
    "x",
    "xx",
  ];
  const scores = [-2, -3, -3, -3, -3, -6, -6, -6, -5, -11.5, -13, -3, -4, -4, -4, -4, -12, -2, -4]; // bo+nd ties with b+o+n+d
  const vocab = [["<unk>", 0], ...pieces.map((piece, i) => [piece, scores[i]])];
  for (const pre_tokenizer of [{ type: "Metaspace" }, null]) {
    const model = { type: "Unigram", vocab, unk_id: 0 };
    assert.ok(compared({ model, pre_tokenizer, added_tokens: [], normalizer: null }) > 1000);
  }
});

Deno.test("words: what only the whole library can do is left to it", () => {
  const swallowing = compared({ added_tokens: added({ normalized: false, lstrip: true }) });
  const late = compared({ added_tokens: added({ normalized: true }), normalizer: { type: "NFC" } });
  assert.ok(swallowing > 1000 && swallowing < 1800, String(swallowing));
  assert.ok(late > 1000 && late < 1800, String(late));
  assert.equal(compared({}, { remove_space: true }), 0);
  const vocab = { "<unk>": 0, a: 1, b: 2, "▁": 3 };
  const fused = compared({
    model: { type: "BPE", vocab, merges: [], unk_token: "<unk>", fuse_unk: true },
    pre_tokenizer: { type: "Split", pattern: { Regex: "\\s" }, behavior: "Isolated", invert: false },
  });
  assert.ok(fused > 100 && fused < 1500, String(fused));
});

Deno.test("a bounded map keeps what is asked for and never more than twice its size", () => {
  const map = boundedMap<number, number>(100);
  for (let i = 0; i < 10_000; i++) {
    map.set(i, 2 * i);
    assert.equal(map.get(0), 0); // asked for all the time: stays
  }
  const kept = Array.from({ length: 10_000 }, (_, i) => map.get(i)).filter((value) => value !== undefined);
  assert.equal(map.get(9_999), 19_998);
  assert.ok(kept.length <= 200, String(kept.length));
});
