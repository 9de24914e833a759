// Trains a byte-level BPE tokenizer and writes it as Hugging Face files. Digits are not merged unless asked for: every number
// is written digit by digit, so that a tiny model can learn to copy numbers and to calculate with them.

/** A trained vocabulary: tokens in the order of their ids, and the merges in the order they were learnt. */
export interface Bpe {
  tokens: string[];
  merges: [string, string][];
}

/** Special tokens and the chat template: those of the family that the model belongs to. */
export interface TokenizerOptions {
  /** In the order of their ids, from 0 on; default <pad>, <s>, </s>. */
  special?: { pad: string; bos: string; eos: string };
  /** Further special tokens, behind those three. */
  more?: readonly string[];
  /** What is put around every text; default "bos". */
  adds?: "bos" | "eos" | "nothing";
  /** Digits are merged as letters are: a frequent number is one token. */
  mergeDigits?: boolean;
  /** Default: question and answer as the tiny Llama is fine-tuned. */
  chatTemplate?: string;
}

const usual = { pad: "<pad>", bos: "<s>", eos: "</s>" };

/** All special tokens in the order of their ids. */
function specialTokens({ special = usual, more = [] }: TokenizerOptions): string[] {
  return [special.pad, special.bos, special.eos, ...more];
}

// GPT-2's pieces, which the ByteLevel pre-tokenizer of the `tokenizers` library cuts a text into.
const pieces = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** GPT-2's table: each byte as a visible character, in the order of the characters. */
function byteAlphabet(): { ofByte: string[]; sorted: string[] } {
  const visible = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  const ofByte = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(visible(byte) ? byte : next++));
  return { ofByte, sorted: [...ofByte].sort() };
}

/** A distinct piece of the text: its symbols so far and how often it occurs. */
interface Piece {
  symbols: string[];
  count: number;
}

function countPieces(documents: Iterable<string>, ofByte: string[], digits = false): Piece[] {
  const counts = new Map<string, number>();
  for (const document of documents) {
    for (const [piece] of document.matchAll(pieces)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  }
  const encoder = new TextEncoder();
  return [...counts].filter(([piece]) => digits || !/\p{N}/u.test(piece))
    .map(([piece, count]) => ({ symbols: Array.from(encoder.encode(piece), (byte) => ofByte[byte]), count }));
}

/** The most frequent pair of neighbours; of equals the first in code order, so that the result never varies. */
function mostFrequentPair(all: Piece[]): [string, string] | undefined {
  const counts = new Map<string, number>();
  for (const { symbols, count } of all) {
    for (let i = 1; i < symbols.length; i++) {
      const pair = `${symbols[i - 1]} ${symbols[i]}`;
      counts.set(pair, (counts.get(pair) ?? 0) + count);
    }
  }
  let best: string | undefined, most = 1;
  for (const [pair, count] of counts) {
    if (count > most || (count === most && best !== undefined && pair < best)) [best, most] = [pair, count];
  }
  return best?.split(" ") as [string, string] | undefined;
}

function applyMerge(symbols: string[], [left, right]: [string, string]): string[] {
  const out: string[] = [];
  for (let i = 0; i < symbols.length; i++) {
    const joined = symbols[i] === left && symbols[i + 1] === right;
    out.push(joined ? left + right : symbols[i]);
    if (joined) i++;
  }
  return out;
}

/**
 * Learns merges until the vocabulary holds `vocabSize` tokens (specials, 256 bytes, merges) or no pair occurs twice.
 * The same documents give the same tokenizer.
 */
export function trainBpe(
  documents: Iterable<string>,
  vocabSize: number,
  options: TokenizerOptions = {},
): Bpe {
  const { ofByte, sorted } = byteAlphabet();
  const tokens = [...specialTokens(options), ...sorted];
  const merges: [string, string][] = [];
  const all = countPieces(documents, ofByte, options.mergeDigits);
  while (tokens.length < vocabSize) {
    const pair = mostFrequentPair(all);
    if (!pair) break;
    for (const piece of all) {
      if (piece.symbols.includes(pair[0])) piece.symbols = applyMerge(piece.symbols, pair);
    }
    merges.push(pair);
    tokens.push(pair[0] + pair[1]);
  }
  return { tokens, merges };
}

// Renders a conversation as the question-and-answer prompt, the only form the tiny model is fine-tuned on.
const questionAndAnswer = "{{ bos_token }}{% for message in messages %}" +
  "{% if message['role'] == 'assistant' %}{{ '### Answer: ' + message['content'] + eos_token + '\\n\\n' }}" +
  "{% elif message['role'] == 'user' %}{{ '### Question: ' + message['content'] + '\\n\\n' }}" +
  "{% else %}{{ message['content'] + '\\n\\n' }}{% endif %}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '### Answer:' }}{% endif %}";

function postProcessor({ special = usual, adds = "bos" }: TokenizerOptions, id: (token: string) => number) {
  const text = (name: string, type_id: number) => ({ Sequence: { id: name, type_id } });
  if (adds === "nothing") return null;
  const token = special[adds], mark = { SpecialToken: { id: token, type_id: 0 } };
  const around = (...parts: unknown[]) => adds === "bos" ? [mark, ...parts] : [...parts, mark];
  return {
    type: "TemplateProcessing",
    single: around(text("A", 0)),
    pair: around(text("A", 0), text("B", 1)),
    special_tokens: { [token]: { id: token, ids: [id(token)], tokens: [token] } },
  };
}

function tokenizerJson({ tokens, merges }: Bpe, options: TokenizerOptions): unknown {
  const id = (token: string) => tokens.indexOf(token);
  const special = specialTokens(options).map((content) => ({
    id: id(content),
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: special,
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: postProcessor(options, id),
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, index) => [token, index])),
      merges,
    },
  };
}

/** The tokenizer's files, by name, as a Hugging Face model folder holds them. */
export function tokenizerFiles(
  bpe: Bpe,
  maxLength: number,
  options: TokenizerOptions = {},
): Record<string, string> {
  const { pad, bos, eos } = options.special ?? usual;
  const special = {
    bos_token: bos,
    eos_token: eos,
    pad_token: pad,
    ...options.more && { additional_special_tokens: options.more },
  };
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    ...special,
    model_max_length: maxLength,
    clean_up_tokenization_spaces: false,
    chat_template: options.chatTemplate ?? questionAndAnswer,
  };
  const json = (value: unknown) => `${JSON.stringify(value)}\n`;
  return {
    "tokenizer.json": json(tokenizerJson(bpe, options)),
    "tokenizer_config.json": json(config),
    "special_tokens_map.json": json(special),
  };
}
