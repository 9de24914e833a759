// How many tokens a set of conversations holds, counted in both ways that are in use, and what each role takes.

import { checkGiven, checkRows } from "../arguments.ts";
import { UserError } from "../errors.ts";
import { markdownTable } from "../report/table.ts";
import { boundedMap } from "../text/bounded_map.ts";
import { isObject } from "../text/files.ts";
import type { Message } from "../text/chat_template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { percentile } from "./lengths.ts";
import { messageOf } from "./messages.ts";
import { Dataset } from "./dataset.ts";
import { atRow, type Row } from "./row.ts";

/** Options of {@linkcode datasetStatistics}. */
export interface StatisticsOptions {
  /** Counts the tokens, and renders messages by its chat template. */
  tokenizer: Tokenizer;
  /** The name in tables; default the dataset's. */
  name?: string;
  /** False leaves out the count of messages rendered alone, which some chat templates refuse. Default true. */
  alone?: boolean;
}

/** Tokens of conversations, counted in one way. */
export interface TokenCount {
  /** Of all conversations. */
  tokens: number;
  /** Of the mean conversation. */
  mean: number;
  /** 95 % of the conversations have at most so many (linear between two of them, as numpy's). */
  p95: number;
  /** Of the longest conversation. */
  max: number;
}

/** What one role says. */
export interface RoleStatistics {
  /** "system", "user", "assistant" or another. */
  role: string;
  /** How many messages it has. */
  messages: number;
  /** Tokens of its mean message, rendered alone with the chat template; undefined with `alone: false`. */
  alone?: number;
  /** Tokens of its mean message without any template: the words themselves. */
  content: number;
}

/** What {@linkcode datasetStatistics} counts. */
export interface DatasetStatistics {
  /** Where the conversations came from. */
  name: string;
  /** How many conversations. */
  conversations: number;
  /** How many messages they have in all. */
  messages: number;
  /** Each conversation rendered once: what a model is trained on. */
  once: TokenCount;
  /** Each message rendered alone and summed, as many published tables count; undefined with `alone: false`. */
  alone?: TokenCount;
  /** By role, in the order in which they appear. */
  roles: RoleStatistics[];
  /** Both counts as a table. */
  toString(): string;
}

/**
 * Counts conversations, messages and tokens with a model's own chat template, in two ways. `once` renders each conversation
 * as it is trained on. `alone` renders each message as a conversation of its own and adds them up, as the FinSight paper
 * and other published tables did; it is the larger, since templates such as SmolLM2's put their default system turn before every
 * message that is not a system one. Averages by role and 95th percentiles follow numpy. No BOS or EOS is added.
 *
 * @param rows conversations with `messages` (OpenAI's) or `conversations` (ShareGPT's); a stream may be given too
 * @param options see {@linkcode StatisticsOptions}
 * @throws UserError for a row without messages, no row at all, or a tokenizer without a chat template
 *
 * @example
 * ```ts
 * import { datasetStatistics, loadTokenizer } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = (await loadTokenizer("tests/reference/tiny_tokenizer"))!;
 * const rows = [{ messages: [{ role: "user", content: "What is a bond?" }, { role: "assistant", content: "A loan." }] }];
 * const statistics = await datasetStatistics(rows, { tokenizer, name: "bonds" });
 * assert.deepEqual([statistics.conversations, statistics.messages], [1, 2]);
 * console.log(String(statistics));
 * ```
 */
export async function datasetStatistics(
  rows: Iterable<Row> | AsyncIterable<Row>,
  options: StatisticsOptions,
): Promise<DatasetStatistics> {
  checkRows("datasetStatistics", rows, true);
  checkGiven("datasetStatistics", options, "tokenizer");
  const { tokenizer, alone = true } = options;
  if (!tokenizer) {
    throw new UserError(
      "datasetStatistics got no tokenizer: the folder it was loaded from has no tokenizer.json.",
    );
  }
  const name = options.name ?? (rows instanceof Dataset ? rows.name : "the rows");
  const once: number[] = [], summed: number[] = [], roles = new Map<string, Role>();
  const measure = messageMeasure(tokenizer, alone);
  for await (const row of rows) {
    atRow(name, once.length, () => {
      const messages = messagesOf(row);
      once.push(tokensOf(tokenizer, tokenizer.applyChatTemplate(messages)));
      summed.push(messages.reduce((sum, message) => sum + count(message, measure(message), roles), 0));
    });
  }
  if (once.length === 0) throw new UserError(`${name} has no conversations to count.`);
  const statistics = {
    name,
    conversations: once.length,
    messages: [...roles.values()].reduce((sum, { messages }) => sum + messages, 0),
    once: tokenCount(once),
    ...alone && { alone: tokenCount(summed) },
    roles: [...roles].map(([role, { messages, alone: rendered, content }]) => ({
      role,
      messages,
      ...alone && { alone: rendered / messages },
      content: content / messages,
    })),
  };
  return { ...statistics, toString: () => statisticsTable([statistics]) };
}

/**
 * The statistics of several datasets as one Markdown table: the columns of published data cards, two lines each (messages
 * alone, conversations once) where both were counted. The averages by role are of messages rendered alone on the first line, of
 * their words without a template on the second.
 *
 * @example
 * ```ts
 * import { datasetStatistics, loadTokenizer, statisticsTable } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const tokenizer = (await loadTokenizer("tests/reference/tiny_tokenizer"))!;
 * const rows = [{ messages: [{ role: "user", content: "What is a bond?" }] }];
 * const statistics = await datasetStatistics(rows, { tokenizer, name: "bonds" });
 * assert.equal(statisticsTable([statistics, statistics]).split("\n").length, 6);
 * ```
 */
export function statisticsTable(statistics: readonly Omit<DatasetStatistics, "toString">[]): string {
  return markdownTable(statistics.flatMap((one) => [
    ...one.alone ? [tableLine(one, "each message alone", one.alone, "alone")] : [],
    tableLine(one, "each conversation once", one.once, "content"),
  ]));
}

interface Role {
  messages: number;
  alone: number;
  content: number;
}

interface Measured {
  alone: number;
  content: number;
}

/** A message's tokens; system prompts and stock questions come again and again, and are counted once. */
function messageMeasure(tokenizer: Tokenizer, alone: boolean): (message: Message) => Measured {
  const known = boundedMap<string, Measured>(20_000);
  return (message) => {
    const key = JSON.stringify(message);
    let found = known.get(key);
    if (!found) {
      const rendered = alone ? renderedAlone(tokenizer, message) : "";
      found = { alone: tokensOf(tokenizer, rendered), content: tokensOf(tokenizer, message.content) };
      if (key.length < 1000) known.set(key, found);
    }
    return found;
  };
}

function renderedAlone(tokenizer: Tokenizer, message: Message): string {
  try {
    return tokenizer.applyChatTemplate([message]);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      `${error.message} It cannot render a ${message.role} message alone: give alone: false to count whole conversations only.`,
    );
  }
}

const tokensOf = (tokenizer: Tokenizer, text: string): number =>
  text === "" ? 0 : tokenizer.encode(text, { addSpecialTokens: false }).length;

/** Adds a message to its role; gives its tokens when rendered alone. */
function count({ role }: Message, measured: Measured, roles: Map<string, Role>): number {
  const sums = roles.get(role) ?? { messages: 0, alone: 0, content: 0 };
  sums.messages++;
  sums.alone += measured.alone;
  sums.content += measured.content;
  roles.set(role, sums);
  return measured.alone;
}

function messagesOf(row: Row): Message[] {
  const turns = isObject(row) ? row.messages ?? row.conversations : undefined;
  if (!Array.isArray(turns) || turns.length === 0) {
    throw new UserError('no "messages" or "conversations": a conversation is a list of { role, content }.');
  }
  return turns.map((turn, i) => messageOf(turn, `messages[${i}]`));
}

function tokenCount(lengths: readonly number[]): TokenCount {
  const sorted = Float64Array.from(lengths).sort();
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  return { tokens, mean: tokens / lengths.length, p95: percentile(sorted, 95), max: sorted.at(-1)! };
}

function tableLine(
  { name, conversations, roles }: Omit<DatasetStatistics, "toString">,
  way: string,
  count: TokenCount,
  average: "alone" | "content",
): Record<string, unknown> {
  const averages = roles.map((role) => [`${role.role} average`, role[average]?.toFixed(1)]);
  return {
    dataset: name,
    counted: way,
    tokens: count.tokens,
    conversations,
    "tokens/conversation": count.mean.toFixed(1),
    ...Object.fromEntries(averages),
    "95th %ile": Math.round(count.p95),
    longest: count.max,
  };
}
