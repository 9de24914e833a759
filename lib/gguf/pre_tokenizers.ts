// How a tokenizer splits texts into words, by llama.cpp's names: it has each pattern built in.
import { UserError } from "../errors.ts";
import { isObject, type JsonObject } from "../text/files.ts";

const contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const rest = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const capitals = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]", smalls = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const slashRest = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const before = "[^\\r\\n\\p{L}\\p{N}]?";

/** A known way to split. */
interface PreTokenizer {
  /** The pattern of its Split; undefined: ByteLevel's own (GPT-2's). */
  pattern?: string;
  /** Whether digits stand alone before that. */
  digits?: boolean;
  /** Whether a word that is a token is taken whole. */
  wholeWords?: boolean;
}

/** By llama.cpp's names (tokenizer.ggml.pre). Two that differ in nothing here: the first is written. */
const KNOWN: Readonly<Record<string, PreTokenizer>> = {
  "gpt-2": {},
  "smollm": { digits: true },
  "qwen2": { pattern: `${contraction}|${before}\\p{L}+|\\p{N}${rest}` },
  "llama-bpe": { pattern: `${contraction}|${before}\\p{L}+|\\p{N}{1,3}${rest}`, wholeWords: true },
  "smaug-bpe": { pattern: `${contraction}|${before}\\p{L}+|\\p{N}{1,3}${rest}` },
  "tekken": {
    pattern: `${before}${capitals}*${smalls}+|${before}${capitals}+${smalls}*|\\p{N}${slashRest}`,
    wholeWords: true,
  },
  "gpt-4o": {
    pattern: `${before}${capitals}*${smalls}+${contraction}?|${before}${capitals}+${smalls}*${contraction}?` +
      `|\\p{N}{1,3}${slashRest}`,
  },
};

/** Names that mean the same as one above: files that others wrote have them. */
const SAME: Readonly<Record<string, string>> = {
  "llama3": "llama-bpe",
  "llama-v3": "llama-bpe",
  "falcon3": "llama-bpe",
  "phi-2": "gpt-2",
  "deepseek-r1-qwen": "qwen2",
  "megrez": "qwen2",
  "starcoder": "smollm",
  "refact": "smollm",
  "command-r": "smollm",
  "dbrx": "smaug-bpe",
  "llama4": "gpt-4o",
};

/**
 * llama.cpp's name for how a byte-level tokenizer splits words.
 *
 * @param json tokenizer.json as it was read
 * @throws UserError for a way that llama.cpp has not
 */
export function preTokenizerName(json: JsonObject, where: string): string {
  const found = describe(json);
  const name = found && Object.keys(KNOWN).find((name) => {
    const { pattern, digits = false, wholeWords = false } = KNOWN[name];
    return found.pattern === pattern && found.digits === digits &&
      (found.wholeWords === wholeWords || pattern === undefined);
  });
  if (name) return name;
  throw new UserError(
    `${where}: llama.cpp has no pre-tokenizer like that of tokenizer.json; known here are those of GPT-2, SmolLM, ` +
      "Qwen2, Llama 3, Mistral Nemo and GPT-4o.",
  );
}

/** What tokenizer.json's pre_tokenizer does, if it is of this kind at all. */
function describe(json: JsonObject): Required<PreTokenizer> | PreTokenizer | undefined {
  if (!changesNothing(json.normalizer)) return undefined;
  const top = json.pre_tokenizer;
  if (!isObject(top)) return undefined;
  const parts = (top.type === "Sequence" ? top.pretokenizers : [top]) as JsonObject[];
  const last = parts.at(-1);
  if (last?.type !== "ByteLevel" || last.add_prefix_space === true) return undefined;
  const digits = parts[0].type === "Digits" && parts[0].individual_digits === true;
  const middle = parts.slice(digits ? 1 : 0, -1);
  const wholeWords = (json.model as JsonObject).ignore_merges === true;
  if (middle.length === 0) return last.use_regex === false ? undefined : { digits, wholeWords };
  const [split] = middle;
  if (middle.length > 1 || last.use_regex !== false || split.type !== "Split") return undefined;
  const pattern = isObject(split.pattern) && typeof split.pattern.Regex === "string"
    ? split.pattern.Regex
    : "";
  return split.behavior === "Isolated" && split.invert !== true ? { pattern, digits, wholeWords } : undefined;
}

/** NFC changes only text that is not composed; llama.cpp leaves it out, as its converter does. */
const changesNothing = (normalizer: unknown): boolean =>
  normalizer == null || (isObject(normalizer) && normalizer.type === "NFC");

/** The parts of tokenizer.json that a name stands for; undefined for a name that is not known here. */
export function preTokenizerJson(
  name: string,
): { normalizer: JsonObject | null; pre_tokenizer: JsonObject; ignore_merges: boolean } | undefined {
  const known = KNOWN[SAME[name] ?? name];
  if (!known || !Object.hasOwn(KNOWN, SAME[name] ?? name)) return undefined;
  const { pattern, digits, wholeWords = false } = known;
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: !pattern };
  const parts = [
    ...digits ? [{ type: "Digits", individual_digits: true }] : [],
    ...pattern ? [{ type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false }] : [],
    byteLevel,
  ];
  const pre_tokenizer = parts.length === 1 ? byteLevel : { type: "Sequence", pretokenizers: parts };
  // Files do not say it, and llama.cpp does not do it: Qwen's tokenizers compose characters.
  const normalizer = (SAME[name] ?? name) === "qwen2" ? { type: "NFC" } : null;
  return { normalizer, pre_tokenizer, ignore_merges: wholeWords };
}
