// How the recipe asks: its repository's prompts to the letter, its spelling too.

import type { Prompt } from "@fintune/fintune";

/** A question on finance, with a context or without. */
export const financial: Prompt = {
  name: "financial question",
  question: ({ instruction, input }) =>
    input
      ? `Given the context.\n${input}\n${instruction}\nAnswer: `
      : `Answer the following question.\n${instruction}\n\nAnswer: `,
  answer: (row) => row.output,
};

/** What introduces the tables. */
export const openers: readonly string[] = [
  "Given the context.",
  "Given the tables.",
  "Here are the tables.",
  "These are the tables.",
  "Use these tables.",
  "Look at the tables.",
  "Read the tables.",
  "The tables are:",
  "Tables:",
  "Context:",
  "Schema:",
  "The database:",
  "We have these tables.",
  "There are these tables.",
];

/** A question about tables. The spelling of "folowing" is the recipe's own: what is trained with it must be asked with it. */
export const textToSQL: Prompt = {
  name: "text to SQL",
  question({ question, context }) {
    const opener = [...question as string].reduce((sum, letter) => sum + letter.codePointAt(0)!, 0) %
      openers.length;
    return `${
      openers[opener]
    }\n${context}\nGenerate SQL query to answer the folowing question.\n${question}\nAnswer: `;
  },
  answer: (row) => row.answer,
};
