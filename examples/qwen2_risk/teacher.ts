// A teacher writes the answers, and a judge scores the reasoning: both through any OpenAI-compatible endpoint.

import { Dataset, distill, type DistillOptions, judge, type Row, UserError } from "@fintune/fintune";
import { instruction, riskSchema } from "./rows.ts";

/** The document's request, in Chinese: role, task, thinking before the JSON, cause and effect. */
const prompt = ({ input }: Row) =>
  `你是金融风险专家。请分析下面的新闻。
1. 先在<thinking>和</thinking>之间推导因果链，例如供应链上的影响。
2. 然后只输出JSON，字段是entity（公司）、sentiment（Positive、Negative或Neutral）、risk（High、Medium或Low）、reasoning（原因和结果）。

新闻：${input}`;

type Asking = Pick<DistillOptions, "endpoint" | "out" | "budget" | "price">;

/**
 * The rows with the teacher's answers instead of their own; those that it gives no right answer to are left out and told.
 * Ctrl-C ends it; the same command goes on.
 */
export async function taughtRows(rows: Dataset<Row>, asking: Asking): Promise<Dataset<Row>> {
  const stop = new AbortController(), onSignal = () => stop.abort();
  Deno.addSignalListener("SIGINT", onSignal);
  const report = await distill(rows, {
    ...asking,
    prompt,
    schema: riskSchema,
    signal: stop.signal,
    onProgress: (line) => console.error(line),
  });
  Deno.removeSignalListener("SIGINT", onSignal);
  console.log(`${report}`);
  for (const { row, reason } of report.rejected.slice(0, 5)) console.log(`  row ${row} rejected: ${reason}`);
  if (report.stopped !== "done") {
    throw new UserError(`The teacher was stopped by the ${report.stopped}: the same command goes on.`);
  }
  const taught = report.rows.map(({ messages, metadata }) => ({
    instruction,
    input: rows.at(metadata.row).input,
    output: messages.at(-1).content,
  }));
  return new Dataset(taught, "the teacher's rows");
}

/** What a judge scores the reasoning by. */
const rubric = `5：说清原因、传导过程和结果，与新闻一致，风险等级与推理相符。
4：推理正确，但少一个环节。
3：只有结论和一句理由。
2：理由含糊，或者与新闻不完全一致。
1：没有推理，答非所问，或者编造事实。`;

/** The mean scores of several models' answers to the same rows. */
export async function judged(
  questions: string[],
  answers: Record<string, string[]>,
  asking: Asking,
): Promise<{ model: string; score: number; scored: number }[]> {
  const table = [];
  for (const [model, texts] of Object.entries(answers)) {
    const pairs = texts.map((answer, i) => ({ question: questions[i], answer }));
    const verdict = await judge(pairs, { ...asking, rubric });
    console.log(`judge on ${model}: ${verdict}`);
    table.push({ model, score: verdict.mean, scored: verdict.scored });
  }
  return table;
}
