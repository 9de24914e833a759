// The pretraining text of the small T5: tables, questions, queries and company news. Of a text with gaps the model writes what
// stood in them; and it follows short instructions, none of which asks for a query.

import { drawStory, newsText } from "../tiny/passages.ts";
import { drawFrom, type Random } from "../tiny/random.ts";
import { drawQuestion, queryKinds, type SQLQuestion } from "./queries.ts";
import { entities } from "./schemas.ts";

/** Between what is read and what is written, where a document is an instruction and its answer. */
const SPLIT = "\t";
/** T5's sentinels: each stands for a gap. */
const gaps = 5;
export const sentinels: readonly string[] = Array.from({ length: gaps }, (_, i) => `<extra_id_${i}>`);

const tableOf = ({ answer }: SQLQuestion): string => /FROM (\w+)/.exec(answer)![1];
/** Columns in the order in which the query names them. */
const columnsOf = ({ answer, context }: SQLQuestion): string => {
  const known = new Set([...context.matchAll(/(\w+) (?:VARCHAR|INTEGER)/g)].map(([, name]) => name));
  return [...new Set(answer.match(/\w+/g)!.filter((word) => known.has(word)))].join(", ");
};

const instructions: readonly ((row: SQLQuestion) => [read: string, write: string])[] = [
  (row) => [`Name the table.\n${row.context}\n${row.question}`, tableOf(row)],
  (row) => [`Name the columns.\n${row.context}\n${row.question}`, columnsOf(row)],
  (row) => [`Say in words.\n${row.context}\n${row.answer}`, row.question],
  (row) => [`Copy.\n${row.answer}`, row.answer],
];

function tableText(random: Random): string {
  const row = drawQuestion(random, random.pick(queryKinds), entities);
  if (random.chance(0.4)) return random.pick(instructions)(row).join(SPLIT);
  const { question, context, answer } = row;
  return random.pick([[context, question, answer], [question, context, answer], [question, answer]]).join(
    "\n",
  );
}

function firmText(random: Random): string {
  if (random.chance(0.4)) return newsText(random);
  const { passage, events } = drawStory(random), { topic, plain } = random.pick(events);
  return [`Find ${topic}.\n${passage}`, plain].join(SPLIT);
}

/** Documents without end; the same seed gives the same text. */
export function* sqlText(seed: number): Generator<string> {
  const random = drawFrom(seed);
  while (true) yield random.chance(0.75) ? tableText(random) : firmText(random);
}

/** What the encoder reads of a document, and what the decoder is to write. */
export function readAndWrite(document: string): { question: string; answer: string } {
  const [question, answer] = document.split(SPLIT);
  return answer === undefined ? withGaps(document) : { question, answer };
}

/**
 * Cuts two to five gaps of one to four words, a fifth of the text or more, as T5 was pretrained (Raffel et al. 2020). The text
 * itself decides where.
 */
export function withGaps(text: string): { question: string; answer: string } {
  const random = drawFrom(hashOf(text)), words = text.match(/\s*\S+/g) ?? [];
  const count = Math.max(1, Math.min(gaps, Math.floor(words.length / 6)));
  let question = "", answer = "", from = 0;
  for (let gap = 0; gap < count; gap++) {
    const room = Math.floor(words.length * (gap + 1) / count) - from;
    const length = Math.min(random.int(1, 4), room - 1), start = from + random.int(0, room - 1 - length);
    question += words.slice(from, start).join("") + sentinels[gap];
    answer += sentinels[gap] + words.slice(start, start + length).join("");
    from = start + length;
  }
  return { question: question + words.slice(from).join(""), answer };
}

function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
