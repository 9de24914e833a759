// Exact match: the answer is the expected text.
import { rowScore, type Score } from "../score.ts";

/**
 * The share of answers that are the expected text, but for spaces around them and Unicode's form.
 *
 * @param options `ignoreCase`: capital letters are small ones (default false)
 *
 * @example
 * ```ts
 * import { byExactMatch } from "@fintune/fintune";
 * console.log(byExactMatch({ ignoreCase: true }).name); // exact match
 * ```
 */
export function byExactMatch({ ignoreCase = false }: { ignoreCase?: boolean } = {}): Score {
  const form = (text: string) => {
    const plain = text.trim().normalize("NFC");
    return ignoreCase ? plain.toLowerCase() : plain;
  };
  return rowScore("exact match", ({ prediction, reference }) => form(prediction) === form(reference));
}
