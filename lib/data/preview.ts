// Rows' tokens as the eye can check them: which are trained, which are masked, which are cut off.

import process from "node:process";
import { inNotebook } from "../report/notebook.ts";
import { UserError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { type Batch, type DecoderSide, exampleOf, IGNORED, pairOf, type TokenRow } from "./batch.ts";
import { startTokenOf, type TokenOptions } from "./collect.ts";
import { detectPrompt } from "./detect.ts";
import type { Prompt } from "./prompt.ts";
import type { Row } from "./row.ts";
import { shapeOf } from "./shapes.ts";
import { tokenizePair, tokenizeRow } from "./tokenize_row.ts";

/** What becomes of a token: it is learnt, only read, or lies beyond maxLength. */
export type TokenFate = "trained" | "masked" | "cut";

/** A token as it is shown. */
export interface ShownToken {
  /** Its id. */
  id: number;
  /** Its text; a character that several tokens make up stands with the last of them. */
  text: string;
  /** What becomes of it. */
  fate: TokenFate;
}

/** Rows of tokens to look at: `console.log` shows them coloured, Jupyter as HTML. */
export interface Preview {
  /** Each row's tokens. */
  rows: ShownToken[][];
  /** As plain text: [+trained+], masked, {-cut-}. */
  toString(): string;
  /** For a terminal: trained green, masked dim, cut red and struck through; neighbours differ in brightness. */
  toANSI(): string;
  /** As HTML, with every token's id as its tooltip. */
  toHTML(): string;
}

/** Options of {@linkcode previewRow}. */
export type PreviewOptions = Pick<
  TokenOptions,
  "tokenizer" | "prompt" | "maxLength" | "maxTargetLength" | "completionOnly" | "decoderStartTokenId"
>;

/**
 * Shows a row as training sees it. In a terminal it is coloured (unless NO_COLOR is set), in Jupyter it is HTML, elsewhere
 * brackets stand around what is trained.
 *
 * @param row a row of text, or of token ids ({ inputIds, labels })
 * @param options those of {@linkcode packBatches}: `tokenizer` (needed), `prompt` (default: by the row's fields), `maxLength`
 *   (default 512), `completionOnly` (default false)
 * @throws UserError without a tokenizer, and as packBatches for the row
 *
 * @example
 * ```ts
 * import { loadTokenizer, previewRow } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const tokenizer = await loadTokenizer("tests/reference/tiny_tokenizer");
 * const row = { instruction: "Bond?", output: "A loan." };
 * const preview = previewRow(row, { tokenizer, completionOnly: true });
 * console.log(preview);
 * assert.equal(
 *   preview.toString(),
 *   "<s><|im_start|>user\nBond?<|im_end|>\n<|im_start|>assistant\n[+A loan.<|im_end|>+]\n\n\n26 tokens: 4 trained, 22 masked",
 * );
 * ```
 */
export function previewRow(row: Row, options: PreviewOptions): Preview {
  const { tokenizer, maxLength = 512, completionOnly = false } = options;
  if (!tokenizer) throw new UserError("previewRow needs a tokenizer: give { tokenizer }.");
  if (startTokenOf(options) !== undefined) return previewPair(row, { ...options, tokenizer });
  const { inputIds, labels }: TokenRow = row.inputIds !== undefined
    ? exampleOf(row as TokenRow, 0)
    : tokenizeRow(row, options.prompt ?? promptOf(row, tokenizer), tokenizer, completionOnly);
  const fates = Array.from(
    inputIds,
    (_, i): TokenFate => i >= maxLength ? "cut" : i > 0 && labels![i] !== IGNORED ? "trained" : "masked",
  );
  return previewOf([tokensOf(inputIds, fates, tokenizer)]);
}

/** For an encoder-decoder: the question, all of it only read, and behind it the answer. */
function previewPair(row: Row, options: PreviewOptions & { tokenizer: Tokenizer }): Preview {
  const { tokenizer, prompt, maxLength = 512, maxTargetLength = maxLength } = options;
  const asked = () => prompt ?? promptOf(row, tokenizer);
  const { inputIds, labels }: TokenRow = row.inputIds !== undefined
    ? pairOf(row as TokenRow, 0)
    : tokenizePair(asked().question(row), asked().answer(row), asked(), tokenizer);
  // A question that is cut keeps its end.
  const question = Array.from(
    inputIds,
    (_, i): TokenFate =>
      inputIds.length > maxLength && i >= maxLength - 1 && i < inputIds.length - 1 ? "cut" : "masked",
  );
  const answer = Array.from(labels!, (label, i): TokenFate => {
    if (i >= maxTargetLength) return "cut";
    return label === IGNORED ? "masked" : "trained";
  });
  const ids = [...Array.from(inputIds), ...Array.from(labels!, (label) => Math.max(0, label))];
  return previewOf([tokensOf(ids, [...question, ...answer], tokenizer)]);
}

function promptOf(row: Row, tokenizer: Tokenizer): Prompt {
  if (shapeOf(row) !== "classification") return detectPrompt([row], tokenizer);
  throw new UserError(
    "a row of text and label is asked with the labels of all rows: give { prompt: detectPrompt(rows, tokenizer) }.",
  );
}

/**
 * Shows the rows of a batch as the step sees them: padding is left out, and what was cut off is no longer there.
 *
 * @param batch a batch of {@linkcode packBatches}, {@linkcode padBatches} or {@linkcode batchOf}
 * @param tokenizer the tokenizer that made it
 *
 * @example
 * ```ts
 * import { batchOf, loadTokenizer, previewBatch } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const tokenizer = (await loadTokenizer("tests/reference/tiny_tokenizer"))!;
 * const ids = tokenizer.encode("a bond");
 * const batch = batchOf([{ inputIds: ids, labels: ids.map((id, i) => i < 2 ? -100 : id) }]);
 * assert.match(previewBatch(batch, tokenizer).toString(), /^<s>a\[\+ bond\+\]/);
 * ```
 */
export function previewBatch(batch: Batch, tokenizer: Tokenizer): Preview {
  if (batch.decoder) return previewPairs(batch, batch.decoder, tokenizer);
  const trained = new Set(Array.from(batch.targetIndex, (at) => at + 1));
  const rows = rowRuns(batch).map(([start, end]) => {
    const fates = Array.from(
      { length: end - start },
      (_, i): TokenFate => trained.has(start + i) ? "trained" : "masked",
    );
    return tokensOf(batch.inputIds.subarray(start, end), fates, tokenizer);
  });
  return previewOf(rows);
}

/** Where each row begins and ends. */
function rowRuns({ positions, rowOf }: Pick<Batch, "positions" | "rowOf">): [start: number, end: number][] {
  const starts = Array.from(positions.keys()).filter((at) => positions[at] === 0 && rowOf[at] >= 0);
  return starts.map((start) => {
    let end = start + 1;
    while (end < rowOf.length && positions[end] > 0 && rowOf[end] >= 0) end++;
    return [start, end];
  });
}

/** Questions, and behind each the answer: what its positions are to give, or else (not trained) what they read. */
function previewPairs(batch: Batch, decoder: DecoderSide, tokenizer: Tokenizer): Preview {
  const targets = new Map(Array.from(batch.targetIndex, (at, i) => [at, batch.targetIds[i]]));
  const answers = rowRuns(decoder);
  const rows = rowRuns(batch).map(([start, end], i) => {
    const question = Array.from(batch.inputIds.subarray(start, end)), [first, last] = answers[i];
    const places = Array.from({ length: last - first }, (_, at) => first + at);
    const ids = [...question, ...places.map((at) => targets.get(at) ?? decoder.inputIds[at])];
    const fates = places.map((at): TokenFate => targets.has(at) ? "trained" : "masked");
    return tokensOf(ids, [...question.map((): TokenFate => "masked"), ...fates], tokenizer);
  });
  return previewOf(rows);
}

function tokensOf(ids: ArrayLike<number>, fates: TokenFate[], tokenizer: Tokenizer): ShownToken[] {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return Array.from(ids, (id, i) => {
    const bytes = tokenizer.tokenBytes?.(id);
    const last = i === ids.length - 1;
    const text = bytes
      ? decoder.decode(bytes, { stream: !last })
      : tokenizer.decode([id], { skipSpecialTokens: false });
    return { id, text, fate: fates[i] };
  });
}

/** Neighbouring tokens of the same fate as one piece. */
function runs(tokens: readonly ShownToken[]): { fate: TokenFate; tokens: ShownToken[] }[] {
  const found: { fate: TokenFate; tokens: ShownToken[] }[] = [];
  for (const token of tokens) {
    if (found.at(-1)?.fate !== token.fate) found.push({ fate: token.fate, tokens: [] });
    found.at(-1)!.tokens.push(token);
  }
  return found;
}

function summary(tokens: readonly ShownToken[]): string {
  const counts = (["trained", "masked", "cut"] as const)
    .map((fate) => [tokens.filter((token) => token.fate === fate).length, fate] as const)
    .filter(([count, fate]) => count > 0 || fate === "trained");
  return `${tokens.length} tokens: ${counts.map(([count, fate]) => `${count} ${fate}`).join(", ")}`;
}

const BRACKETS: Record<TokenFate, [string, string]> = {
  trained: ["[+", "+]"],
  masked: ["", ""],
  cut: ["{-", "-}"],
};
// Two colours each, by turns, so that one sees where tokens begin.
const ANSI: Record<TokenFate, [string, string]> = {
  trained: ["32", "92"],
  masked: ["2", "2;3"],
  cut: ["9;31", "9;91"],
};
const CSS: Record<TokenFate, [string, string]> = {
  trained: ["background:#c8e6c9;color:#1b5e20", "background:#a5d6a7;color:#1b5e20"],
  masked: ["color:#757575", "color:#9e9e9e"],
  cut: ["color:#c62828;text-decoration:line-through", "color:#e57373;text-decoration:line-through"],
};

function previewOf(rows: ShownToken[][]): Preview {
  const join = (show: (tokens: ShownToken[]) => string) =>
    rows.map((tokens) => `${show(tokens)}\n\n${summary(tokens)}`).join("\n\n");
  const plain = () =>
    join((tokens) =>
      runs(tokens).map(({ fate, tokens }) =>
        BRACKETS[fate][0] + tokens.map((token) => token.text).join("") + BRACKETS[fate][1]
      ).join("")
    );
  // What stands in the rows must not steer the terminal.
  const harmless = (text: string) => text.replaceAll(/(?![\t\n])\p{Cc}/gu, "\ufffd");
  const ansi = () =>
    join((tokens) =>
      tokens.map(({ text, fate }, i) => `\x1b[${ANSI[fate][i % 2]}m${harmless(text)}\x1b[0m`).join("")
    );
  const html = () =>
    rows.map((tokens) =>
      `<div style="white-space:pre-wrap;font-family:monospace">${
        tokens.map(({ id, text, fate }, i) =>
          `<span style="${CSS[fate][i % 2]}" title="${id}">${escapeHTML(text)}</span>`
        ).join("")
      }<div>${summary(tokens)}</div></div>`
    ).join("");
  const preview = { rows, toString: plain, toANSI: ansi, toHTML: html };
  const hidden = (value: unknown) => ({ value, enumerable: false });
  return Object.defineProperties(preview, {
    [Symbol.for("Jupyter.display")]: hidden(() => ({ "text/plain": plain(), "text/html": html() })),
    [Symbol.for("Deno.customInspect")]: hidden(() => coloured() ? ansi() : plain()),
    [Symbol.for("nodejs.util.inspect.custom")]: hidden(() => coloured() ? ansi() : plain()),
  });
}

function coloured(): boolean {
  return Boolean(process.stdout.isTTY) && !inNotebook() && !Deno.noColor;
}

function escapeHTML(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll(
    '"',
    "&quot;",
  );
}
