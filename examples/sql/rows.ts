// The rows of the embedded run: questions about company news, and two sets of questions with their queries, in the shapes of
// finance-alpaca, sql-create-context and Llama-2-SQL. Held-out questions are about tables of which no training row is.

import { UserError } from "@fintune/fintune";
import { drawFrom, type Random } from "../tiny/random.ts";
import { drawStory } from "./news.ts";
import { drawQuestion, type QueryKind, queryKinds, type SQLQuestion } from "./queries.ts";
import { entities, type Entity } from "./schemas.ts";

/** How many rows to draw, and the seed of every choice. */
export interface RowCounts {
  train: number;
  test: number;
  seed: number;
}

/** Rows to train on, and rows that are held out. */
export interface Split<T> {
  train: T[];
  test: T[];
}

/** Kinds of the first set; the second has all. */
export const firstKinds: readonly QueryKind[] = ["list", "filter", "and, or", "count", "aggregate"];

/** The share of the tables' names that only held-out questions are about. */
const heldOutShare = 0.25;

/** The names of tables that training may use, and the others. */
export function splitEntities(seed: number): Split<Entity> {
  const shuffled = drawFrom(seed).shuffle(entities), count = Math.round(entities.length * heldOutShare);
  return { train: shuffled.slice(count), test: shuffled.slice(0, count) };
}

/** Rows spread evenly over the kinds; no question comes twice. */
export function sqlQuestions(
  { train, test, seed }: RowCounts,
  kinds: readonly QueryKind[] = queryKinds,
): Split<SQLQuestion> {
  const about = splitEntities(42), random = drawFrom(seed), seen = new Set<string>();
  const rows = (count: number, names: readonly Entity[]) =>
    random.shuffle(
      Array.from({ length: count }, (_, i) =>
        fresh(seen, () => {
          const row = drawQuestion(random, kinds[i % kinds.length], names);
          return [row.question, row];
        })),
    );
  return { train: rows(train, about.train), test: rows(test, about.test) };
}

/** A row as in finance-alpaca; what is asked stands in the input. */
export interface NewsQuestion {
  instruction: string;
  input: string;
  output: string;
}

/** Questions about company news; no story comes twice. */
export function newsQuestions({ train, test, seed }: RowCounts): Split<NewsQuestion> {
  const random = drawFrom(seed), seen = new Set<string>();
  const rows = (count: number) => Array.from({ length: count }, () => fresh(seen, () => drawNews(random)));
  return { train: rows(train), test: rows(test) };
}

function drawNews(random: Random): [key: string, row: NewsQuestion] {
  const { passage, events } = drawStory(random), { asked, plain } = random.pick(events);
  return [passage, { instruction: random.pick(asked), input: passage, output: plain }];
}

/** The next draw whose key was not seen. */
function fresh<T>(seen: Set<string>, draw: () => [key: string, value: T]): T {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const [key, value] = draw();
    if (seen.has(key)) continue;
    seen.add(key);
    return value;
  }
  throw new UserError("There are not so many different rows: ask for fewer.");
}

/** A row as in Llama-2-SQL: the whole prompt in one field. */
export function asLlama2(row: SQLQuestion): { input: string; output: string } {
  const { question, context, answer } = row;
  return {
    input: `### Instruction:\n${question}\n\n### Input:\n${context}\n\n### Response:\n`,
    output: answer,
  };
}

/** The same rows with the answers dealt out at random: what a model learns from them is the style alone. */
export function shuffleField<T extends object>(rows: readonly T[], field: keyof T, seed: number): T[] {
  const values = drawFrom(seed).shuffle(rows.map((row) => row[field]));
  return rows.map((row, i) => ({ ...row, [field]: values[i] }));
}
