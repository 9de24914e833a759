// What a text has at least is never more than its tokens: for every kind of tokenizer, on texts made to be shrunk, dropped, fused
// and swallowed. And it is enough to know a text that is far too long.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { seededRandom } from "../lib/data/random.ts";
import { UserError } from "../lib/errors.ts";
import { loadEncoding, loadTokenizer, type Tokenizer, tokenizerFrom } from "../lib/text/tokenizer.ts";

const HERE = new URL("./reference/", import.meta.url).pathname;
const tiny = JSON.parse(await Deno.readTextFile(join(HERE, "tiny_tokenizer/tokenizer.json")));

const made = (changes: object, config = {}): Promise<Tokenizer> =>
  tokenizerFrom({ json: { ...tiny, ...changes }, config, path: "made" }, "made", { special: {}, endIds: [] });
const token = (id: number, content: string, more: object) => ({ id, content, special: false, ...more });
const fromModel = async (kind: string): Promise<Tokenizer> => {
  const folder = await Deno.makeTempDir();
  await Deno.copyFile(join(HERE, `sentencepiece/${kind}.model`), join(folder, "tokenizer.model"));
  const tokenizer = await loadTokenizer(folder);
  await Deno.remove(folder, { recursive: true });
  return tokenizer!;
};

const pieces = ["<unk>", "▁", "▁a", "a", "aa", "b", "ab", "é", "▁bond", "nd", "u", "n"];
const unigram = { type: "Unigram", unk_id: 0, vocab: pieces.map((piece, i) => [piece, -1 - i / 10]) };
const bpe = (more: object) => ({
  type: "BPE",
  vocab: Object.fromEntries(["<unk>", ..."ab▁nu", "ab", "abab", "▁a"].map((piece, i) => [piece, i])),
  merges: ["a b", "ab ab", "▁ a"],
  unk_token: "<unk>",
  ...more,
});
const metaspace = { type: "Metaspace", replacement: "▁", prepend_scheme: "always" };
const sequence = (...pretokenizers: object[]) => ({ type: "Sequence", pretokenizers });

/** Tokenizers; whether a long text of any letters is known to be too long, or nothing is said at all. */
const kinds: [name: string, tokenizer: Tokenizer, says: "much" | "some" | "nothing"][] = [
  ["GPT-2's kind", await made({}), "much"],
  ["gpt2", await loadEncoding("gpt2"), "much"],
  ["o200k_base", await loadEncoding("o200k_base"), "much"],
  ["characters composed", await made({ normalizer: { type: "NFC" } }), "much"],
  ["compatible characters", await made({ normalizer: { type: "NFKC" } }), "much"],
  [
    "spaces that a normalizer drops",
    await made({
      normalizer: {
        type: "Sequence",
        normalizers: [{ type: "Strip", strip_left: true, strip_right: true }, {
          type: "Replace",
          pattern: { Regex: "b+|\\s{2,}" },
          content: "",
        }],
      },
    }),
    "some",
  ],
  ["accents that are dropped", await made({ normalizer: { type: "StripAccents" } }), "some"],
  [
    "tokens that take spaces along",
    await made({
      added_tokens: [
        ...tiny.added_tokens,
        token(5000, "<left>", { lstrip: true, normalized: false }),
        token(5001, "<right>", { rstrip: true, normalized: false }),
      ],
    }),
    "much",
  ],
  [
    "tokens behind the normalizer",
    await made({
      normalizer: { type: "Lowercase" },
      added_tokens: [
        ...tiny.added_tokens,
        token(5000, "<LEFT>", { lstrip: true, rstrip: true, normalized: true }),
      ],
    }),
    "much",
  ],
  [
    "a split that removes",
    await made({
      pre_tokenizer: sequence(
        { type: "Split", pattern: { Regex: "[ab]+" }, behavior: "Removed", invert: false },
        { type: "ByteLevel", add_prefix_space: false, use_regex: false },
      ),
    }),
    "nothing",
  ],
  [
    "a sign in front of each part",
    await made({
      model: bpe({ fuse_unk: true }),
      normalizer: {
        type: "Sequence",
        normalizers: [{ type: "Prepend", prepend: "▁" }, {
          type: "Replace",
          pattern: { String: " " },
          content: "▁",
        }],
      },
      pre_tokenizer: null,
      added_tokens: [
        token(0, "<unk>", { normalized: false }),
        token(50, "<left>", { lstrip: true, normalized: false }),
      ],
    }),
    "some",
  ],
  ["SentencePiece, BPE", await fromModel("bpe"), "much"],
  ["SentencePiece, Unigram", await fromModel("unigram"), "some"],
  ["unknown characters fused", await made({ model: unigram, pre_tokenizer: metaspace }), "some"],
  [
    "unknown ones spelled otherwise",
    await made({ model: unigram, pre_tokenizer: metaspace, normalizer: { type: "NFKC" }, added_tokens: [] }),
    "some",
  ],
  [
    "words",
    await made({ model: unigram, pre_tokenizer: sequence({ type: "WhitespaceSplit" }, metaspace) }),
    "some",
  ],
  ["BPE, unknown fused", await made({ model: bpe({ fuse_unk: true }), pre_tokenizer: metaspace }), "some"],
  ["BPE, unknown dropped", await made({ model: bpe({ unk_token: null }), pre_tokenizer: null }), "some"],
  [
    "BPE, ends of words",
    await made({ model: bpe({ end_of_word_suffix: "</w>" }), pre_tokenizer: null }),
    "nothing",
  ],
  [
    "WordPiece",
    await made({
      model: {
        type: "WordPiece",
        vocab: { "[UNK]": 0, a: 1, "##a": 2, b: 3 },
        unk_token: "[UNK]",
        continuing_subword_prefix: "##",
      },
      pre_tokenizer: { type: "BertPreTokenizer" },
    }),
    "nothing",
  ],
];

const PARTS = [
  "a",
  "b",
  "ab",
  "nu",
  " ",
  "\n",
  "\t ",
  "é",
  "e\u0301",
  "\u0301",
  "가",
  "\u1100\u1161",
  "日本",
  "🙂",
]
  .concat([
    "<unk>",
    "＜unk＞",
    "<s>",
    "<",
    "<left>",
    "<right>",
    "<LEFT>",
    "<0x41>",
    "▁",
    "ﬁ",
    "\ud800",
    "\ufeff",
  ])
  .concat(["\u0085", "bond", "12", "x".repeat(30), "=", "ſ", "İ", "\u0000", "\u2000"]);

function texts(count: number): string[] {
  const random = seededRandom(11), below = (limit: number) => Math.floor(random() * limit);
  const run = () => PARTS[below(PARTS.length)].repeat(below(3) === 0 ? below(40) : below(3));
  return Array.from({ length: count }, () => Array.from({ length: 1 + below(8) }, run).join(""));
}

Deno.test("no text has fewer tokens than it has at least", () => {
  const all = [...texts(700), ...PARTS.map((part) => part.repeat(200)), ""];
  for (const [name, tokenizer, says] of kinds) {
    for (const text of all) {
      const least = tokenizer.tokensAtLeast!(text);
      const { length } = tokenizer.encode(text, { addSpecialTokens: false });
      assert.ok(least <= length, `${name}: ${length} tokens, at least ${least} in ${JSON.stringify(text)}`);
    }
    assert.equal(tokenizer.tokensAtLeast!("a".repeat(200)) > 0, says !== "nothing", name);
  }
});

Deno.test("a megabyte without a space is known to be too long, in no time", () => {
  for (const [name, tokenizer, says] of kinds) {
    if (says !== "much") continue;
    for (const part of ["a", "xq", "日", "🙂", "a b "]) {
      const text = part.repeat(900_000 / new TextEncoder().encode(part).length);
      assert.ok(tokenizer.tokensAtLeast!(text) > 4096, `${name}: ${part}`);
    }
  }
});

Deno.test("a word that the library cannot take is one clear error", () => {
  const [, tokenizer] = kinds.find(([name]) => name === "unknown characters fused")!;
  assert.equal(tokenizer.encode("ab".repeat(1000)).length, 1002); // the space in front
  assert.throws(() => tokenizer.encode("ab".repeat(150_000)), (error) => {
    return error instanceof UserError &&
      /^A text of 300000 characters has a word that is too long/.test(error.message);
  });
});
