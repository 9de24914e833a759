// Trains a byte-level BPE tokenizer and writes it as Hugging Face files. Digits are never merged: every number is
// written digit by digit, so that a tiny model can learn to copy numbers and to calculate with them.

/** A trained vocabulary: tokens in the order of their ids, and the merges in the order they were learnt. */
export interface Bpe {
  tokens: string[];
  merges: [string, string][];
}

/** In the order of their ids. */
export const specialTokens = { pad: "<pad>", bos: "<s>", eos: "</s>" } as const;

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

function countPieces(documents: Iterable<string>, ofByte: string[]): Piece[] {
  const counts = new Map<string, number>();
  for (const document of documents) {
    for (const [piece] of document.matchAll(pieces)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  }
  const encoder = new TextEncoder();
  return [...counts].filter(([piece]) => !/\p{N}/u.test(piece))
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
export function trainBpe(documents: Iterable<string>, vocabSize: number): Bpe {
  const { ofByte, sorted } = byteAlphabet();
  const tokens = [...Object.values(specialTokens), ...sorted];
  const merges: [string, string][] = [];
  const all = countPieces(documents, ofByte);
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
const chatTemplate = "{{ bos_token }}{% for message in messages %}" +
  "{% if message['role'] == 'assistant' %}{{ '### Answer: ' + message['content'] + eos_token + '\\n\\n' }}" +
  "{% elif message['role'] == 'user' %}{{ '### Question: ' + message['content'] + '\\n\\n' }}" +
  "{% else %}{{ message['content'] + '\\n\\n' }}{% endif %}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '### Answer:' }}{% endif %}";

function tokenizerJson({ tokens, merges }: Bpe): unknown {
  const id = (token: string) => tokens.indexOf(token);
  const bos = specialTokens.bos;
  const special = Object.values(specialTokens).map((content) => ({
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
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }, {
        Sequence: { id: "B", type_id: 1 },
      }],
      special_tokens: { [bos]: { id: bos, ids: [id(bos)], tokens: [bos] } },
    },
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
export function tokenizerFiles(bpe: Bpe, maxLength: number): Record<string, string> {
  const { pad, bos, eos } = specialTokens;
  const special = { bos_token: bos, eos_token: eos, pad_token: pad };
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    ...special,
    model_max_length: maxLength,
    clean_up_tokenization_spaces: false,
    chat_template: chatTemplate,
  };
  const json = (value: unknown) => `${JSON.stringify(value)}\n`;
  return {
    "tokenizer.json": json(tokenizerJson(bpe)),
    "tokenizer_config.json": json(config),
    "special_tokens_map.json": json(special),
  };
}
