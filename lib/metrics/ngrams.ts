// Counting n-grams, for BLEU and chrF.

/** How often each run of n neighbours occurs. */
export function countRuns(tokens: readonly string[], n: number, glue: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= tokens.length; i++) {
    const run = tokens.slice(i, i + n).join(glue);
    counts.set(run, (counts.get(run) ?? 0) + 1);
  }
  return counts;
}

/** How many runs both have, each counted as often as the one that has it less. */
export function commonRuns(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): number {
  let common = 0;
  for (const [run, count] of a) common += Math.min(count, b.get(run) ?? 0);
  return common;
}

/** For each run the largest count that one of the texts has. */
export function mostRuns(all: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const most = new Map<string, number>();
  for (const counts of all) {
    for (const [run, count] of counts) most.set(run, Math.max(count, most.get(run) ?? 0));
  }
  return most;
}
