// Counts by reader, and the table that is printed.
import { markdownTable } from "../../lib/report/table.ts";
import type { Result } from "./result.ts";

/** What became of a reader's inputs. */
export interface Tally {
  inputs: number;
  passed: number;
  loaded: number;
  refused: number;
  failures: Result[];
  slowest: number;
  memory: number;
}

/** Counts results by reader. */
export function counter(): { tallies: Map<string, Tally>; add(result: Result): void; total(): Tally } {
  const tallies = new Map<string, Tally>();
  const empty = (): Tally => ({
    ...{ inputs: 0, passed: 0, loaded: 0, refused: 0, slowest: 0, memory: 0 },
    failures: [],
  });
  return {
    tallies,
    add(result) {
      const tally = tallies.get(result.reader) ?? empty();
      tallies.set(result.reader, tally);
      tally.inputs++;
      if (result.passed) tally.passed++;
      if (result.outcome === "failure") tally.failures.push(result);
      else tally[result.outcome]++;
      tally.slowest = Math.max(tally.slowest, result.ms);
      tally.memory = Math.max(tally.memory, result.memory);
    },
    total() {
      const all = empty();
      for (const tally of tallies.values()) {
        for (const field of ["inputs", "passed", "loaded", "refused"] as const) all[field] += tally[field];
        for (const field of ["slowest", "memory"] as const) all[field] = Math.max(all[field], tally[field]);
        all.failures.push(...tally.failures);
      }
      return all;
    },
  };
}

/** One line for each reader and their sum. */
export function tallyTable({ tallies, total }: ReturnType<typeof counter>): string {
  const line = (reader: string, tally: Tally) => ({
    reader,
    inputs: tally.inputs,
    "past the outer parse": tally.passed,
    "read in full": tally.loaded,
    UserError: tally.refused,
    failures: tally.failures.length,
    "slowest, ms": Math.round(tally.slowest),
    "most memory, MB": Math.round(tally.memory / 2 ** 20),
  });
  return markdownTable([...[...tallies].map(([name, tally]) => line(name, tally)), line("all", total())]);
}
