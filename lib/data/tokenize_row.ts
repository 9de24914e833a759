// A row's text as token ids and labels: rendered once, tokenized once, BOS once, EOS at the end.

import { tokenEnds } from "../text/token_bytes.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { IGNORED } from "./batch.ts";
import type { Prompt, TextPart } from "./prompt.ts";
import type { Row } from "./row.ts";

/** Token ids of a whole row, not yet cut, and their labels. */
export interface TokenizedRow {
  inputIds: number[];
  labels: number[];
}

/** Renders and tokenizes a row; with `completionOnly` the labels of all but the trained parts are -100. */
export function tokenizeRow(
  row: Row,
  prompt: Prompt,
  tokenizer: Tokenizer,
  completionOnly: boolean,
): TokenizedRow {
  const parts = prompt.render?.(row, completionOnly) ??
    [{ text: prompt.question(row), trained: false }, { text: prompt.answer(row), trained: true }];
  const text = parts.map((part) => part.text).join("");
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  const labels = completionOnly ? partLabels(ids, parts, text, tokenizer) : [...ids];
  if (!ends(ids, text, prompt, tokenizer)) {
    ids.push(tokenizer.eosId!);
    labels.push(!completionOnly || parts.at(-1)?.trained ? tokenizer.eosId! : IGNORED);
  }
  if (tokenizer.addsBos && ids[0] !== tokenizer.bosId) {
    ids.unshift(tokenizer.bosId!);
    labels.unshift(IGNORED);
  }
  return { inputIds: ids, labels };
}

/** An encoder-decoder's row: the question as `encode` gives it, and as labels the answer with EOS, which stands alone. */
export function tokenizePair(
  question: string,
  answer: string,
  prompt: Prompt,
  tokenizer: Tokenizer,
): TokenizedRow {
  const text = answer.trimStart(); // the space that parts question and answer belongs to neither
  const labels = tokenizer.encode(text, { addSpecialTokens: false });
  if (labels.length === 0 || !ends(labels, text, prompt, tokenizer)) labels.push(tokenizer.eosId!);
  const inputIds = tokenizer.encode(question);
  if (inputIds.length === 0) inputIds.push(tokenizer.eosId!);
  return { inputIds, labels };
}

// A chat template ends a turn with a token of its own (<|im_end|>): there a second end would be one too many. Any other
// special token is no end.
function ends(ids: number[], text: string, prompt: Prompt, tokenizer: Tokenizer): boolean {
  if (prompt.turnEnd !== undefined && text.trimEnd().endsWith(prompt.turnEnd)) return true;
  for (let i = ids.length - 1; i > 0; i--) {
    if (tokenizer.eosIds.includes(ids[i]) || ids[i] === tokenizer.eosId) return true;
    if (tokenizer.decode([ids[i]], { skipSpecialTokens: false }).trim() !== "") return false;
  }
  return false;
}

const encoder = new TextEncoder();

// A token that holds a character of a trained part is trained.
function partLabels(ids: number[], parts: TextPart[], text: string, tokenizer: Tokenizer): number[] {
  const labels = new Array<number>(ids.length).fill(IGNORED);
  const tokens = tokenizer.tokenBytes && tokenEnds(encoder.encode(text), ids, tokenizer.tokenBytes);
  if (!tokens) return searchedLabels(ids, parts, tokenizer);
  let [begin, token] = [0, 0];
  for (const part of parts) {
    const end = begin + encoder.encode(part.text).length;
    // The token that a part begins in may have begun in the part before: go on from the one that reaches beyond it.
    while (token < ids.length && tokens[token] <= begin && tokens[token] < end) token++;
    if (part.trained) {
      for (let at = token; at < ids.length && (at === 0 ? 0 : tokens[at - 1]) < end; at++) {
        labels[at] = ids[at];
      }
    }
    begin = end;
  }
  return labels;
}

// The way for tokenizers that change the text: parts are tokenized as well, and compared.
function searchedLabels(ids: number[], parts: TextPart[], tokenizer: Tokenizer): number[] {
  const labels = new Array<number>(ids.length).fill(IGNORED);
  let text = "";
  let start = 0;
  parts.forEach((part, i) => {
    text += part.text;
    const end = i === parts.length - 1 ? ids.length : boundary(ids, text, tokenizer);
    if (part.trained) { for (let at = start; at < end; at++) labels[at] = ids[at]; }
    start = end;
  });
  return labels;
}

/**
 * How many of the whole text's tokens lie entirely inside its prefix. A token that holds characters of both sides belongs to
 * what follows: its second half has to be learnt. The prefix alone may be cut otherwise near its end than inside the whole,
 * so behind the tokens that both share the characters decide.
 */
export function boundary(ids: number[], prefix: string, tokenizer: Tokenizer): number {
  const alone = tokenizer.encode(prefix, { addSpecialTokens: false });
  let end = 0;
  while (end < alone.length && end < ids.length && alone[end] === ids[end]) end++;
  const shared = end;
  const remaining = tokenizer.decode(alone.slice(shared), { skipSpecialTokens: false });
  const spelled = (to: number) => tokenizer.decode(ids.slice(shared, to), { skipSpecialTokens: false });
  while (end < ids.length && remaining !== "" && remaining.startsWith(spelled(end + 1))) end++;
  return end;
}
