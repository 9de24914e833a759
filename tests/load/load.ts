// Many clients at once: each greedy answer must be the one for its prompt, whoever else asks and leaves.
import { financeQA } from "../../lib/data/prompt.ts";
import { seededRandom } from "../../lib/data/random.ts";
import { generate } from "../../lib/generate/generate.ts";
import type { Model } from "../../lib/models/model.ts";
import { post } from "../served.ts";

/** A question, how long its answer may be, and that answer. */
export interface Case {
  readonly question: string;
  readonly maxTokens: number;
  readonly answer: string;
}

/** Questions of different lengths with their answers, by generate. */
export async function loadCases(model: Model, count: number): Promise<Case[]> {
  const subjects = [
    "a bond",
    "a stock",
    "an index fund",
    "inflation",
    "a dividend",
    "compound interest",
    "a budget",
  ];
  const forms = ["What is {}?", "Is {} safe?", "How does {} work, and who should think of buying it?", "{}"];
  const asked = Array.from({ length: count }, (_, i) => ({
    question:
      forms[i % forms.length].replace("{}", subjects[Math.floor(i / forms.length) % subjects.length]) +
      (i >= forms.length * subjects.length ? ` (${i})` : ""),
    maxTokens: 4 + i % 13,
  }));
  const cases: Case[] = [];
  for (const { question, maxTokens } of asked) {
    const prompt = financeQA.question({ instruction: question, input: "" });
    const answer = await generate(model, prompt, { temperature: 0, maxNewTokens: maxTokens });
    cases.push({ question, maxTokens, answer });
  }
  return cases;
}

/** What came of the requests. */
export interface LoadReport {
  requests: number;
  /** Answers that came whole and right. */
  right: number;
  /** Cut off by the client; what had come was right. */
  cut: number;
  /** Without an answer. */
  lost: string[];
  /** With another prompt's answer, or a wrong one. */
  mixed: string[];
  seconds: number;
  /** Characters of the answers that came. */
  characters: number;
  /** The server's resident memory in bytes, after each tenth of the requests. */
  memory: number[];
}

/** Sends `requests` from so many clients, a tenth of which are cut off. */
export async function load(
  url: string,
  cases: readonly Case[],
  { requests, clients, seed = 1 }: { requests: number; clients: number; seed?: number },
): Promise<LoadReport> {
  const report: LoadReport = {
    requests,
    right: 0,
    cut: 0,
    lost: [],
    mixed: [],
    seconds: 0,
    characters: 0,
    memory: [],
  };
  const random = seededRandom(seed), begin = performance.now();
  let sent = 0, done = 0;
  const client = async () => {
    while (sent < requests) {
      const number = sent++, chosen = cases[Math.floor(random() * cases.length)];
      await ask(url, chosen, number % 10 === 9 ? 1 + Math.floor(3 * random()) : Infinity, report);
      if (++done % Math.ceil(requests / 10) === 0) report.memory.push(await serverMemory(url));
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  report.seconds = (performance.now() - begin) / 1000;
  return report;
}

/** Reads an answer, or only so many of its pieces. */
async function ask(
  url: string,
  { question, maxTokens, answer }: Case,
  pieces: number,
  report: LoadReport,
): Promise<void> {
  try {
    const response = await post(`${url}/v1/chat/completions`, {
      model: "tiny",
      messages: [{ role: "user", content: question }],
      temperature: 0,
      max_tokens: maxTokens,
      stream: true,
    });
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    let text = "", count = 0, whole = false;
    for await (const data of eventsOf(response)) {
      whole = data === "[DONE]";
      if (whole) break;
      text += JSON.parse(data).choices[0].delta.content ?? "";
      if (++count >= pieces) break; // leaves the loop, and with it the connection
    }
    report.characters += text.length;
    const isRight = whole ? text === answer : answer.startsWith(text);
    if (!isRight) report.mixed.push(`${question}: ${text}`);
    else if (whole) report.right++;
    else if (pieces < Infinity) report.cut++;
    else report.lost.push(`${question}: broke off`);
  } catch (error) {
    report.lost.push(`${question}: ${error}`);
  }
}

async function* eventsOf(response: Response): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + piece).split("\n\n");
    rest = parts.pop()!;
    for (const part of parts) yield part.replace(/^data: /, "");
  }
}

/** Resident memory of the server in bytes, as it says itself. */
export async function serverMemory(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^process_resident_memory_bytes (\d+)$/m.exec(text)![1]);
}
