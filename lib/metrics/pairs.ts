// Predictions and what they are held against, checked: as many of one as of the other, and all of them texts.
import { UserError } from "../errors.ts";

/** Predictions with their references, each prediction with one or several. */
export function textPairs(
  score: string,
  predictions: Iterable<string>,
  references: Iterable<unknown>,
): { prediction: string; references: string[] }[] {
  const answers = [...predictions], expected = [...references];
  if (answers.length !== expected.length) {
    throw new UserError(
      `${score} needs one reference for each prediction, and got ${answers.length} predictions and ` +
        `${expected.length} references.`,
    );
  }
  return answers.map((prediction, row) => ({
    prediction: textOf(score, prediction, `prediction ${row + 1}`),
    references: [expected[row]].flat().map((text) => textOf(score, text, `reference ${row + 1}`)),
  }));
}

/** The text itself, or a complaint that names it. */
export function textOf(score: string, text: unknown, name: string): string {
  if (typeof text === "string") return text;
  throw new UserError(
    `${score} compares texts, but ${name} is ${text === null ? "null" : `of type ${typeof text}`}.`,
  );
}
