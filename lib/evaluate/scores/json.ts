// Answers in JSON.
import { type JSONOptions, type JSONRow, jsonRows } from "../../metrics/json.ts";
import { meanMeasure, type Score } from "../score.ts";

/**
 * Answers in JSON, as {@linkcode jsonScores} has them: how many have a value, how many fulfil the schema (where one is
 * given), how many are as expected, the mean share of right fields, and the F1 of each list over the rows that have it.
 *
 * @param options see {@linkcode JSONOptions}
 *
 * @example
 * ```ts
 * import { byJSON } from "@fintune/fintune";
 * console.log(byJSON({ fields: ["risk"] }).name); // JSON
 * ```
 */
export function byJSON(options: JSONOptions = {}): Score {
  return {
    name: "JSON",
    async check(answers) {
      const references = answers.map(({ reference }) => reference);
      await jsonRows(references, references, options);
    },
    async measure(answers) {
      const rows = await jsonRows(
        answers.map(({ prediction }) => prediction),
        answers.map(({ reference }) => reference),
        options,
      );
      const mean = (name: string, of: (row: JSONRow) => number | boolean | undefined) =>
        meanMeasure(name, rows.map(of).map((value) => value === undefined ? undefined : Number(value)));
      const lists = [...new Set(rows.flatMap((row) => Object.keys(row.lists)))];
      return [
        mean("JSON parsed", ({ missing }) => missing === undefined),
        ...(options.schema ? [mean("JSON valid", ({ valid }) => valid)] : []),
        mean("JSON exact", ({ exact }) => exact),
        mean("right fields", ({ fieldAccuracy }) => fieldAccuracy),
        ...lists.map((list) =>
          mean(`F1 of ${list}`, (row) => Object.getOwnPropertyDescriptor(row.lists, list)?.value)
        ),
      ];
    },
  };
}
