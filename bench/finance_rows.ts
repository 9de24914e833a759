// Rows like finance-alpaca's (three general rows to one of FiQA, about 200 tokens each) in any number, each unlike the others:
// sentences of real rows drawn together, every number new, one word in 200 misspelt, so that words are as varied as in
// real text. Where FINTUNE_SHARED's rows are missing, the embedded example's questions and text take their place.

import { join } from "@std/path";
import { financeQuestions } from "../examples/tiny/questions.ts";
import { pretrainingText } from "../examples/tiny/text.ts";
import { loadDataset, type Row, seededRandom } from "../mod.ts";

interface Source {
  question: string;
  sentences: string[];
}

/** So many rows as finance-alpaca itself has. */
export const FINANCE_ALPACA_ROWS = 68_912;

/** Draws `count` rows that the seed decides, one at a time. */
export async function financeRows(count: number, seed = 1): Promise<Iterable<Row>> {
  const [general, fiqa] = await sources();
  return { [Symbol.iterator]: () => draw(count, seed, general, fiqa) };
}

function* draw(count: number, seed: number, general: Source[], fiqa: Source[]): Generator<Row> {
  const random = seededRandom(seed);
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)];
  const vary = (text: string) =>
    text.replace(/\d/g, () => String(Math.floor(random() * 10)))
      .replace(/[a-z]{4,}/g, (word) => random() < 1 / 200 ? misspelt(word, random) : word);
  for (let i = 0; i < count; i++) {
    const pool = i % 4 === 3 ? fiqa : general;
    const base = pick(pool), others = [base, pick(pool), pick(pool)];
    const output = base.sentences.map(() => pick(pick(others).sentences)).join("");
    yield { instruction: vary(base.question), input: "", output: `${vary(output).trim()} (${i})` };
  }
}

function misspelt(word: string, random: () => number): string {
  const at = Math.floor(random() * word.length);
  return word.slice(0, at) + String.fromCharCode(97 + Math.floor(random() * 26)) + word.slice(at + 1);
}

async function sources(): Promise<[Source[], Source[]]> {
  const folder = join(Deno.env.get("FINTUNE_SHARED") ?? "../shared", "data", "finance_alpaca");
  const read = async (file: string) =>
    (await loadDataset(join(folder, file)))
      .map((row) => source(row.input ? `${row.instruction}\n${row.input}` : row.instruction, row.output))
      .filter((row) => row.sentences.length > 0).toArray();
  try {
    Deno.statSync(folder);
  } catch {
    return [tinySources(1), tinySources(2)];
  }
  return [await read("alpaca_en_demo.json"), await read("fiqa_pairs.jsonl")];
}

/** The embedded example's questions, each answered by some of its documents: as long as real answers. */
function tinySources(seed: number): Source[] {
  const text = pretrainingText(seed);
  return financeQuestions({ train: 400, test: 1, seed }).train.map((row) =>
    source(row.instruction, [row.output, ...text.take(4)].join(" "))
  );
}

function source(question: string, answer: string): Source {
  return { question, sentences: answer.match(/[^.!?\n]+[.!?\n]*\s*/g) ?? [] };
}
