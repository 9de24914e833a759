// The pretraining text of the small T5. Of a text with gaps it writes what stood in them; and it follows instructions: what a
// table is called, which columns it has, what the news say, and a query for a note in telegram style. Questions come too, but
// none of them with its query or its answer: those are left for the fine-tuning.

import { drawFrom, type Random } from "../tiny/random.ts";
import { drawStory } from "./news.ts";
import { openers } from "./prompts.ts";
import { drawQuestion, queryKinds } from "./queries.ts";
import { entities } from "./schemas.ts";

/** Between what is read and what is written, where a document is an instruction and its answer. */
const SPLIT = "\t";
/** T5's sentinels: each stands for a gap. */
const gaps = 5;
export const sentinels: readonly string[] = Array.from({ length: gaps }, (_, i) => `<extra_id_${i}>`);

/** How a note says what SQL says. */
const plainly: readonly [sql: RegExp, words: string][] = [
  [/ AS T1 JOIN (\w+) AS T2 ON T1\.id = T2\.id/, " with $1"],
  [/T[12]\./g, ""],
  [/COUNT\(\*\)/, "how many"],
  [/AVG\((\w+)\)/, "average $1"],
  [/SUM\((\w+)\)/, "total $1"],
  [/MAX\((\w+)\)/, "highest $1"],
  [/MIN\((\w+)\)/, "lowest $1"],
  [/ >= /g, " at least "],
  [/ <= /g, " at most "],
  [/ > /g, " above "],
  [/ < /g, " below "],
  [/ = /g, " is "],
  [/ AND /, " and "],
  [/ OR /, " or "],
  [/^SELECT/, "find"],
  [/^FROM/, "table"],
  [/^WHERE/, "whose"],
  [/^GROUP BY/, "for each"],
  [/^ORDER BY/, "by"],
  [/ DESC/, " falling"],
  [/^LIMIT/, "first"],
];

/** A query in telegram style, its clauses in any order. */
export function noteOf(random: Random, query: string): string {
  const clauses = query.split(/ (?=FROM|WHERE|GROUP BY|ORDER BY|LIMIT)/);
  const words = clauses.map((clause) =>
    plainly.reduce((text, [sql, words]) => text.replace(sql, words), clause)
  );
  return random.shuffle(words).join("; ");
}

function tableText(random: Random): string {
  const { context, question, answer } = drawQuestion(random, random.pick(queryKinds), entities);
  const opener = random.pick(openers), tables = `${opener}\n${context}`;
  const note = [
    `${tables}\nGenerate SQL query to answer the following note.\n${noteOf(random, answer)}\nAnswer: `,
    answer,
  ];
  const chosen = random.next();
  if (chosen < 0.4) return note.join(SPLIT);
  if (chosen < 0.5) {
    const [what, line] = random.pick([["query", answer], ["question", question]]);
    return [`Copy the following ${what}.\n${line}\nAnswer: `, line].join(SPLIT);
  }
  if (chosen < 0.6) return [`${tables}\nName the columns.\nAnswer: `, columnsOf(context)].join(SPLIT);
  return random.pick([[context, question], [question, context], [context, answer], [answer, context]]).join(
    "\n",
  );
}

const columnsOf = (context: string): string =>
  [...context.matchAll(/(\w+) (?:VARCHAR|INTEGER)/g)].map(([, name]) => name).join(", ");

function firmText(random: Random): string {
  const { passage, events } = drawStory(random), { topic, told, asked } = random.pick(events);
  const chosen = random.next();
  if (chosen < 0.3) return passage;
  if (chosen < 0.4) return `${passage}\n${random.pick(asked)}`;
  const sentence = told.find((one) => passage.includes(one))!;
  return [`Given the context.\n${passage}\nFind the sentence about the ${topic}.\nAnswer: `, sentence].join(
    SPLIT,
  );
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
