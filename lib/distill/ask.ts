// One question to its answer: sent again while failures may pass, told to mend what is wrong, within the budget.

import { UserError } from "../errors.ts";
import type { Message } from "../text/chat_template.ts";
import type { Answer, AnswerReader } from "./answer.ts";
import type { Purse } from "./budget.ts";
import { type Client, Passing, Refused } from "./endpoint.ts";
import type { Completion } from "./stream.ts";

/** What the questions of a run share. */
export interface Run {
  client: Client;
  purse: Purse;
  read: AnswerReader;
  /** As in Endpoint, and DistillOptions. */
  limits: { maxTokens: number; retries: number; repairs: number };
  signal?: AbortSignal;
  /** No request before this time (Date.now): the endpoint asked for it. */
  pause: number;
  /** Whether any question was answered, and how many were refused before one was. */
  answered: boolean;
  refused: number;
  /** Why no further question is asked. */
  stopped: "done" | "budget" | "signal" | "failed";
}

/** An answer; why there is none (with `again` where asking anew may help); or nothing where the run ends before. */
export type Outcome = Answer | { reason: string; again?: boolean } | undefined;

/** Asks until there is an answer that can be used, or nothing more to try. */
export async function askQuestion(run: Run, messages: Message[]): Promise<Outcome> {
  let talk = messages, wrong: string | undefined;
  for (let repair = 0; repair <= run.limits.repairs; repair++) {
    let completion: Completion | undefined;
    try {
      completion = await askPatiently(run, talk);
    } catch (error) {
      return refusal(run, error);
    }
    // What was answered wrongly and paid for is worth a line, though not the last word.
    if (!completion) return wrong === undefined ? undefined : { reason: wrong, again: true };
    run.answered = true;
    try {
      return run.read(completion);
    } catch (error) {
      wrong = (error as Error).message;
      talk = mended(messages, completion.text, wrong);
    }
  }
  return { reason: wrong! };
}

function mended(messages: Message[], text: string, wrong: string): Message[] {
  if (text.trim() === "") return messages;
  const content = `That cannot be used: ${wrong}. Answer again, in the form that was asked for.`;
  return [...messages, { role: "assistant", content: text }, { role: "user", content }];
}

/** How many questions an endpoint may refuse before it answers any. */
const MOST_REFUSED = 3;

function refusal(run: Run, error: unknown): Outcome {
  if (!(error instanceof Passing || error instanceof Refused)) throw error;
  if (error instanceof Refused && !run.answered && ++run.refused >= MOST_REFUSED) {
    throw new UserError(`the endpoint refuses every question: ${error.message}.`);
  }
  return { reason: error.message, again: true };
}

/** One request, sent again while its failures may pass. */
async function askPatiently(run: Run, messages: Message[]): Promise<Completion | undefined> {
  const { maxTokens, retries } = run.limits;
  for (let attempt = 0, own = 0;; attempt++) {
    await waitUntil(run, own);
    if (run.stopped === "done" && run.signal?.aborted) run.stopped = "signal";
    if (run.stopped === "done" && !run.purse.reserve(messages, maxTokens)) run.stopped = "budget";
    if (run.stopped !== "done") return undefined;
    const answer: Completion = { begun: false, text: "", thinking: "", finish: "" };
    try {
      await run.client.ask(messages, answer, run.signal);
      return answer;
    } catch (error) {
      if (run.signal?.aborted) {
        run.stopped = "signal";
        return undefined;
      }
      if (!(error instanceof Passing) || attempt >= retries) throw error;
      own = Date.now() + 1000 * Math.min(30, 0.5 * 2 ** attempt) * (0.75 + Math.random() / 2);
      if (error.wait === undefined) continue;
      if (error.wait > LONGEST_PAUSE) throw tooLong(error.wait);
      own = 0;
      run.pause = Math.max(run.pause, Date.now() + 1000 * error.wait);
    } finally {
      run.purse.pay(messages, maxTokens, answer);
    }
  }
}

const LONGEST_PAUSE = 600; // seconds

const tooLong = (seconds: number) =>
  new UserError(
    `the endpoint asks to wait ${Math.round(seconds)} s: go on later, the answers so far are kept.`,
  );

/** Until the endpoint's pause and the question's own are over, or the run ends. */
async function waitUntil(run: Run, own: number): Promise<void> {
  while (run.stopped === "done" && !run.signal?.aborted) {
    const left = Math.max(run.pause, own) - Date.now();
    if (left <= 0) return;
    await new Promise((done) => setTimeout(done, Math.min(left, 200)));
  }
}
