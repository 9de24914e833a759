// The answer of a model that has learnt the form and how often each value comes, and nothing about the notes.

import { findJSON } from "@fintune/fintune";

/** As JSON: of each field the value that most of the answers have. */
export function guess(answers: Iterable<string>, fields: readonly string[]): string {
  const counts = new Map(fields.map((field) => [field, new Map<string, number>()]));
  for (const answer of answers) {
    const found = findJSON(answer, "object");
    if (!("value" in found)) continue;
    for (const [field, of] of counts) {
      const value = String((found.value as Record<string, unknown>)[field]);
      of.set(value, (of.get(value) ?? 0) + 1);
    }
  }
  const most = (of: Map<string, number>) => [...of].toSorted((a, b) => b[1] - a[1])[0]?.[0] ?? "";
  return JSON.stringify(Object.fromEntries([...counts].map(([field, of]) => [field, most(of)])));
}
