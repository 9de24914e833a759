// From rows to tokens: rendered and tokenized block by block, so that rows need never be in memory together, and each block
// is taken from the disk where it was tokenized before.

import { UserError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { exampleOf, pairOf, type TokenRow } from "./batch.ts";
import { Dataset } from "./dataset.ts";
import { withPrompt } from "./detect.ts";
import type { Prompt, TextPart } from "./prompt.ts";
import { atRow, type Row } from "./row.ts";
import { blockKey, openTokenCache } from "./token_cache.ts";
import { blockBuilder, type PairLimits, type PlacedBlock, type TokenBlock } from "./token_rows.ts";
import { tokenizePair, tokenizeRow } from "./tokenize_row.ts";

/** How rows become tokens. */
export interface TokenOptions {
  /** The model's tokenizer; not needed where the rows are token ids. */
  tokenizer?: Tokenizer;
  /** How a row becomes text. Default: what {@linkcode detectPrompt} chooses by the rows' fields. */
  prompt?: Prompt;
  /** Tokens of a row (of its question alone for an encoder-decoder) beyond this are cut off. Default 512. */
  maxLength?: number;
  /** For an encoder-decoder: tokens of an answer beyond this are cut off. Default maxLength. */
  maxTargetLength?: number;
  /**
   * For an encoder-decoder: the token that its decoder begins with. The prompt's question is then the encoder's, as `encode`
   * gives it; the answer (without the space that parts the two) and EOS are the decoder's. Default: what the tokenizer says,
   * which knows it where the model's config.json is of an encoder-decoder.
   */
  decoderStartTokenId?: number;
  /**
   * Train the answer only, not the question (default false: the whole text, as the recipes do). Held-out rows need the same:
   * the losses of answers alone and of whole texts do not compare.
   */
  completionOnly?: boolean;
  /**
   * A folder in which tokens are kept, so that the next run with the same rows, tokenizer, prompt and options reads them;
   * `true`: the system's cache folder (~/.cache/fintune/tokens). Default false: nothing is written. A file is trusted only
   * where its checksum is right, and any of them may be deleted at any time.
   */
  cache?: boolean | string;
}

/** All rows' tokens. */
export interface Collected {
  name: string;
  blocks: PlacedBlock[];
  /** Rows that were read. */
  rows: number;
  /** Rows whose tokens came from the cache. */
  cached: number;
  /** Whether answers alone are trained; undefined where that is the rows' own affair: token ids, and an encoder-decoder's. */
  completionOnly?: boolean;
}

/** A block holds so many rows, or so much text if that is less: memory for what is not yet tokenized. */
const BLOCK_ROWS = 2048;
const BLOCK_CHARACTERS = 1 << 22;

/** A row that is read but not yet tokenized. */
type Rendered = { row: Row; parts: TextPart[] } | { ids: TokenRow };

/** Tokenizes rows as they come. */
export function collect(rows: Iterable<Row>, options: TokenOptions): Collected {
  const collector = withPrompt(rows, options, (given) => createCollector(nameOf(rows), given));
  for (const row of rows) collector.add(row);
  return collector.finish();
}

/** As {@linkcode collect}, for rows that have to be waited for. */
export async function collectStream(rows: AsyncIterable<Row>, options: TokenOptions): Promise<Collected> {
  const collector = withPrompt(rows, options, (given) => createCollector(nameOf(rows), given));
  for await (const row of rows) collector.add(row);
  return collector.finish();
}

function nameOf(rows: object): string {
  const name = rows instanceof Dataset || "name" in rows ? rows.name : undefined;
  return typeof name === "string" ? name : "the rows";
}

function createCollector(name: string, options: TokenOptions): { add(row: Row): void; finish(): Collected } {
  const { maxLength = 512, completionOnly = false, tokenizer } = options;
  const pairs = pairLimits({ ...options, maxLength });
  const cache = options.cache ? openTokenCache(options.cache) : undefined;
  const settings = cache && tokenizer ? cacheSettings({ ...options, maxLength, completionOnly }) : undefined;
  const collected: Collected = { name, blocks: [], rows: 0, cached: 0, completionOnly };
  let waiting: Rendered[] = [], characters = 0;

  const tokenize = (first: number): TokenBlock => {
    const builder = blockBuilder(maxLength, pairs);
    waiting.forEach((rendered, i) => {
      const { inputIds, labels } = atRow(name, first + i, () => tokensOf(rendered, options));
      builder.add(inputIds, labels!);
    });
    return builder.finish();
  };
  const flush = () => {
    const first = collected.rows - waiting.length;
    const texts = waiting.flatMap((rendered) => "parts" in rendered ? [rendered.parts] : []);
    const key = settings && texts.length === waiting.length ? blockKey(settings, texts) : undefined;
    const found = key && cache!.read(key);
    const block = found || tokenize(first);
    if (found) collected.cached += waiting.length;
    else if (key) cache!.write(key, block);
    collected.blocks.push({ first, block });
    waiting = [];
    characters = 0;
  };
  return {
    add(row) {
      const rendered = atRow(name, collected.rows, () => render(row, options));
      collected.rows++;
      if (pairs || "ids" in rendered) collected.completionOnly = undefined;
      waiting.push(rendered);
      characters += sizeOf(rendered);
      if (waiting.length === BLOCK_ROWS || characters >= BLOCK_CHARACTERS) flush();
    },
    finish() {
      if (waiting.length > 0) flush();
      return collected;
    },
  };
}

function sizeOf(rendered: Rendered): number {
  if ("ids" in rendered) return rendered.ids.inputIds.length;
  return rendered.parts.reduce((sum, part) => sum + part.text.length, 0);
}

/** The token that an encoder-decoder's answers begin with; undefined for a decoder. */
export const startTokenOf = ({ decoderStartTokenId, tokenizer }: TokenOptions): number | undefined =>
  decoderStartTokenId ?? tokenizer?.decoderStartTokenId;

function pairLimits(options: TokenOptions & { maxLength: number }): PairLimits | undefined {
  const { tokenizer, maxLength, maxTargetLength = maxLength } = options;
  if (startTokenOf(options) === undefined) {
    if (options.maxTargetLength === undefined) return undefined;
    throw new UserError("maxTargetLength is for encoder-decoders, whose answers stand alone: leave it out.");
  }
  return { maxTargetLength, endId: tokenizer?.addsEos ? tokenizer.eosId : undefined };
}

function render(row: Row, options: TokenOptions): Rendered {
  const { tokenizer, prompt, completionOnly = false } = options;
  const isPair = startTokenOf(options) !== undefined;
  if (row.inputIds !== undefined) return { ids: (isPair ? pairOf : exampleOf)(row as TokenRow, 0) };
  if (!tokenizer) {
    throw new UserError(
      "text needs a tokenizer, and the model folder has no tokenizer.json; give { tokenizer }, or rows of inputIds.",
    );
  }
  if (tokenizer.eosId === undefined) {
    throw new UserError(
      "the tokenizer names no eos_token, so no answer could be taught to end; add it to tokenizer_config.json.",
    );
  }
  const parts = !isPair && prompt!.render?.(row, completionOnly) ||
    [{ text: prompt!.question(row), trained: false }, { text: prompt!.answer(row), trained: true }];
  if (isPair && parts[0].text.trim() === "") {
    throw new UserError(
      "an encoder-decoder reads a question and writes an answer, but this row is one text: give a prompt with a question.",
    );
  }
  return { row, parts };
}

function tokensOf(rendered: Rendered, options: TokenOptions): TokenRow {
  const { tokenizer, prompt, completionOnly = false } = options;
  if ("ids" in rendered) return rendered.ids;
  if (startTokenOf(options) !== undefined) {
    const [question, answer] = rendered.parts;
    return tokenizePair(question.text, answer.text, prompt!, tokenizer!);
  }
  return tokenizeRow(rendered.row, { ...prompt!, render: () => rendered.parts }, tokenizer!, completionOnly);
}

/** What decides about tokens and labels beside the text: as JSON, in which functions fall out. */
function cacheSettings(options: TokenOptions): unknown[] {
  const { tokenizer, prompt, maxLength, completionOnly, maxTargetLength } = options;
  if (!tokenizer!.fingerprint) {
    throw new UserError(
      "this tokenizer has no fingerprint() of its files, so its tokens cannot be cached: leave out { cache }.",
    );
  }
  const start = startTokenOf(options);
  const paired = start === undefined ? [] : [start, maxTargetLength ?? maxLength];
  return [tokenizer!.fingerprint(), tokenizer, prompt, maxLength, completionOnly, ...paired];
}
