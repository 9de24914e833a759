// Tokenizer files of every kind of model, used on some texts once they are loaded.
import { loadTokenizer } from "../../../lib/text/tokenizer.ts";
import { folderFiles, folderPasses, mutateFolder } from "../mutate_folder.ts";
import { encode, type Files, parsed, type Reader } from "../reader.ts";

const TEXTS = [
  "",
  "What is a bond?",
  "  1,234 ½ 債券\u0000\uD800 🙂",
  "<s>[INST] a</s>",
  "x".repeat(500),
  " ".repeat(300),
];
const FILES = [
  "tokenizer.json",
  "tokenizer.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "generation_config.json",
];

/** The tiny tokenizer's files with another model or other parts. */
function variant(files: Files, change: (json: Record<string, unknown>) => void): Files {
  const json = parsed(files.get("tokenizer.json")) as Record<string, unknown>;
  change(json);
  return new Map(files).set("tokenizer.json", encode(JSON.stringify(json)));
}

const reader: Reader = {
  name: "tokenizer",
  outer: "every file is a JSON object",
  async seeds() {
    const tiny = await folderFiles("tiny_tokenizer");
    tiny.delete("ids.json");
    const vocab = [["<unk>", 0], ["▁", -2], ["a", -3], ["b", -3.5], ["▁a", -4], ["ab", -5]];
    return [
      tiny,
      variant(tiny, (json) => {
        json.model = { type: "Unigram", unk_id: 0, vocab };
        json.added_tokens = [{ id: 6, content: "<s>", special: true }, {
          id: 7,
          content: "</s>",
          special: true,
        }];
        json.pre_tokenizer = { type: "Metaspace", replacement: "▁", prepend_scheme: "always" };
        json.decoder = { type: "Metaspace", replacement: "▁" };
        json.post_processor = null;
      }),
      variant(tiny, (json) => {
        json.model = {
          ...{
            type: "WordPiece",
            unk_token: "[UNK]",
            continuing_subword_prefix: "##",
            max_input_chars_per_word: 100,
          },
          vocab: { "[UNK]": 0, what: 1, is: 2, a: 3, bond: 4, "##s": 5 },
        };
        json.added_tokens = [{ id: 6, content: "<s>", special: true }, {
          id: 7,
          content: "</s>",
          special: true,
        }];
        json.normalizer = { type: "BertNormalizer", lowercase: true };
        json.pre_tokenizer = { type: "BertPreTokenizer" };
        json.decoder = { type: "WordPiece", prefix: "##", cleanup: true };
        json.post_processor = null;
      }),
      variant(tiny, (json) => {
        json.pre_tokenizer = {
          type: "Sequence",
          pretokenizers: [
            {
              type: "Split",
              pattern: { Regex: "\\p{N}{1,3}|\\s+(?!\\S)|\\s+" },
              behavior: "Isolated",
              invert: false,
            },
            { type: "ByteLevel", add_prefix_space: false, use_regex: true },
          ],
        };
        json.normalizer = {
          type: "Sequence",
          normalizers: [{ type: "NFC" }, { type: "Replace", pattern: { String: " " }, content: "▁" }],
        };
      }),
    ];
  },
  mutate: (files, random) => mutateFolder(files, random, FILES),
  passesOuter: (files) => folderPasses(files, ["tokenizer.json"]),
  async read(folder) {
    const tokenizer = await loadTokenizer(folder);
    if (!tokenizer) return;
    for (const text of TEXTS) tokenizer.decode(tokenizer.encode(text));
    tokenizer.decode([0, 5, 1e9, -1, NaN, 2.5]);
  },
};
export default reader;
