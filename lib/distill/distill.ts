// A teacher's answers as training rows: many questions at once, within a budget, each answer checked, every one kept.

import { createHash } from "node:crypto";
import { checkGiven, checkName, checkRows } from "../arguments.ts";
import { Dataset } from "../data/dataset.ts";
import { atRow, isObject, type Row } from "../data/row.ts";
import { UserError } from "../errors.ts";
import type { JSONSchema } from "../metrics/json.ts";
import type { Message } from "../text/chat_template.ts";
import { answerReader } from "./answer.ts";
import { askQuestion, type Run } from "./ask.ts";
import { type Budget, openPurse, type Price } from "./budget.ts";
import { type Endpoint, openEndpoint } from "./endpoint.ts";
import { type KeptAnswer, openAnswerFile } from "./kept.ts";

/** Options of {@linkcode distill}. */
export interface DistillOptions {
  /** Who is asked. */
  endpoint: Endpoint;
  /** What is asked about a row: the messages, or the text of one user message. */
  prompt: (row: Row, index: number) => string | Message[];
  /** The JSONL file in which each answer is kept as it comes; a second run with it asks only what is missing. */
  out: string;
  /** What the answer has to be; without one any text is right. */
  schema?: JSONSchema;
  /** Whether <thinking> stays in front of the answer of a row ("keep", the default) or not ("strip"). */
  thinking?: "keep" | "strip";
  /** How often a teacher whose answer is wrong is told why and asked again; default 1. */
  repairs?: number;
  /** Requests at the same time; default 4. */
  concurrency?: number;
  /**
   * What may be spent in this run. For each request its length and maxTokens are set aside, and none is sent that could go
   * beyond; only an endpoint that gives more than maxTokens can exceed it, by what is on its way then, and the report says so.
   */
  budget?: Budget;
  /** What tokens cost, for `budget.cost` and the report. */
  price?: Price;
  /** Ends the run early, in the middle of answers; those that are whole are kept. */
  signal?: AbortSignal;
  /** Gets a line on how far it is, and what it cost, after each answer. */
  onProgress?: (line: string) => void;
}

/** What {@linkcode distill} did. */
export interface DistillReport {
  /** { messages, metadata } for each row whose answer is right, in the rows' order; `metadata.row` is the row's index. */
  rows: Dataset<Row>;
  /** Rows without a right answer, and why. */
  rejected: { row: number; reason: string }[];
  /** How many rows were not asked, because the budget or the signal ended the run. */
  missing: number;
  /** How many answers were there from an earlier run. */
  resumed: number;
  /** Tokens of this run, as the endpoint counted them; half the bytes where it did not, as in answers that were cut. */
  tokens: { input: number; output: number };
  /** What this run cost, in the currency of `price`; 0 without one. */
  cost: number;
  /** Why it ended. */
  stopped: "done" | "budget" | "signal";
  /** All this as a line. */
  toString(): string;
}

/**
 * Asks a teacher about every row and makes training rows of its answers. Requests are streamed, several at once; those that
 * fail are sent again after a growing pause, or the one that the endpoint asks for (Retry-After), which then holds for all.
 * An answer that does not fit the schema is sent back with the reason; if it stays wrong the row is rejected. Every answer
 * and rejection is one line of `out`, under a hash of model, messages and schema: what was answered is not paid for twice, and
 * where the endpoint failed (rather than the answer) a later run asks anew.
 * The key comes from the environment and is written nowhere.
 *
 * @param rows what to ask about
 * @param options see {@linkcode DistillOptions}
 * @throws UserError for wrong options, a missing key, and an address, model or key that the endpoint refuses
 *
 * @example
 * ```ts
 * import { distill } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * // A teacher on this machine; a service would be { model, baseURL, apiKeyEnv: "DEEPSEEK_API_KEY" }.
 * const answer = { choices: [{ message: { content: '<thinking>Debt grows.</thinking>{"risk":"High"}' }, finish_reason: "stop" }] };
 * await using teacher = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, () => Response.json(answer));
 * const folder = await Deno.makeTempDir();
 * const { rows } = await distill([{ text: "Vanke's debt grows." }], {
 *   endpoint: { model: "teacher", baseURL: `http://127.0.0.1:${teacher.addr.port}/v1` },
 *   prompt: (row) => `How risky is this? Think, then answer as JSON. ${row.text}`,
 *   schema: { type: "object", required: ["risk"], properties: { risk: { enum: ["High", "Medium", "Low"] } } },
 *   out: `${folder}/answers.jsonl`,
 * });
 * assert.equal(rows.at(0).messages.at(-1).content, '<thinking>\nDebt grows.\n</thinking>\n{"risk":"High"}');
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function distill(rows: Iterable<Row>, options: DistillOptions): Promise<DistillReport> {
  checkRows("distill", rows);
  checkGiven("distill", options, "endpoint");
  checkGiven("distill", options, "prompt");
  checkName("distill", "a file for the answers (out)", options.out);
  const { concurrency = 4, signal } = options, limits = limitsOf(options);
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new UserError(`concurrency is ${concurrency}: give a whole number of at least 1.`);
  }
  const client = openEndpoint(options.endpoint), purse = openPurse(options.budget, options.price);
  const read = await answerReader(options.schema);
  const questions = questionsOf(rows, options);
  const state = { pause: 0, answered: false, refused: 0, stopped: "done" as const };
  const run: Run = { client, purse, read, limits, signal, ...state };
  await using file = await openAnswerFile(options.out);
  const resumed = questions.filter(({ key }) => file.answers.has(key)).length;
  const open = new Map(questions.filter(({ key }) => !file.answers.has(key)).map((q) => [q.key, q.messages]));
  const rowsOf = Map.groupBy(questions, ({ key }) => key); // equal questions are asked once
  let answered = resumed;
  const queue = open.entries(); // the workers take from one queue
  const work = async () => {
    for (const [key, messages] of queue) {
      if (run.stopped !== "done") return;
      const outcome = await askQuestion(run, messages);
      if (outcome) {
        file.add({ key, ...outcome });
        answered += rowsOf.get(key)!.length;
      }
      options.onProgress?.(`${answered} of ${questions.length} answers; ${purse}`);
    }
  };
  await allWorkers(run, Array.from({ length: Math.min(concurrency, open.size) }, work));
  return reportOf(rows, questions, file.answers, { resumed, run, options });
}

/** When one fails, the others finish what they have begun, so that what was paid for is kept. */
async function allWorkers(run: Run, workers: Promise<void>[]): Promise<void> {
  const ended = await Promise.allSettled(workers.map((worker) =>
    worker.catch((error) => {
      run.stopped = "failed";
      throw error;
    })
  ));
  for (const result of ended) if (result.status === "rejected") throw result.reason;
}

function limitsOf({ endpoint, repairs = 1 }: DistillOptions): Run["limits"] {
  if (!Number.isInteger(repairs) || repairs < 0) {
    throw new UserError(`repairs is ${repairs}: give a whole number, 0 or more.`);
  }
  return { maxTokens: endpoint.maxTokens ?? 1024, retries: endpoint.retries ?? 5, repairs };
}

interface Question {
  row: number;
  key: string;
  messages: Message[];
}

function questionsOf(rows: Iterable<Row>, { prompt, endpoint, schema }: DistillOptions): Question[] {
  const { model, temperature, maxTokens, body } = endpoint;
  return Array.from(rows, (row, i) =>
    atRow(rows instanceof Dataset ? rows.name : "the rows", i, () => {
      const given = prompt(row, i);
      const messages = typeof given === "string" ? [{ role: "user", content: given }] : given;
      if (!Array.isArray(messages) || messages.length === 0 || !messages.every(isMessage)) {
        throw new UserError("the prompt should be a text, or messages with role and content.");
      }
      const decided = JSON.stringify([model, temperature, maxTokens, body, messages, schema]);
      return { row: i, key: createHash("sha256").update(decided).digest("hex"), messages };
    }));
}

const isMessage = (message: unknown) =>
  isObject(message) && typeof message.role === "string" && typeof message.content === "string";

function reportOf(
  source: Iterable<Row>,
  questions: Question[],
  answers: ReadonlyMap<string, KeptAnswer>,
  { resumed, run, options }: { resumed: number; run: Run; options: DistillOptions },
): DistillReport {
  const rows: Row[] = [], rejected: { row: number; reason: string }[] = [];
  for (const { row, key, messages } of questions) {
    const answer = answers.get(key);
    if (answer?.reason !== undefined) rejected.push({ row, reason: answer.reason });
    else if (answer) rows.push(rowOf(row, messages, answer, options));
  }
  const missing = questions.length - rows.length - rejected.length;
  const name = source instanceof Dataset ? source.name : "distilled";
  const { purse, stopped } = run, { tokens, cost } = purse.spent();
  return {
    rows: new Dataset(rows, name),
    rejected,
    missing,
    resumed,
    tokens,
    cost,
    stopped: stopped === "failed" ? "done" : stopped,
    toString: () =>
      `${name}: ${rows.length} answers (${resumed} from before), ${rejected.length} rejected, ${missing} not asked; ${purse}` +
      (stopped === "done" ? "" : `; ended by the ${stopped}`),
  };
}

function rowOf(row: number, messages: Message[], answer: KeptAnswer, options: DistillOptions): Row {
  const { thinking = "", text } = answer;
  const front = thinking && options.thinking !== "strip" ? `<thinking>\n${thinking}\n</thinking>\n` : "";
  return {
    messages: [...messages, { role: "assistant", content: front + text }],
    metadata: {
      source: options.endpoint.model,
      row,
      ...answer.value !== undefined && { value: answer.value },
    },
  };
}
