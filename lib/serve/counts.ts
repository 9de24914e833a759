// The streams' figures in memory that both threads see: /metrics tells them also while the main thread computes.

/** The streams at this moment. */
export interface Counts {
  readonly running: number;
  readonly waiting: number;
  /** Tokens of prompts that were read. */
  readonly promptTokens: number;
}

/** Memory for one `Counts`, as plain data: it goes to another thread as it is. */
export type CountCells = BigInt64Array<SharedArrayBuffer>;

const names = ["running", "waiting", "promptTokens"] as const;

export const countCells = (): CountCells => new BigInt64Array(new SharedArrayBuffer(8 * names.length));

/** Writes the sums over all streams. */
export function writeCounts(cells: CountCells, all: Iterable<Counts>): void {
  const list = [...all];
  names.forEach((name, i) =>
    Atomics.store(cells, i, BigInt(list.reduce((sum, counts) => sum + counts[name], 0)))
  );
}

export function readCounts(cells: CountCells): Counts {
  const [running, waiting, promptTokens] = names.map((_, i) => Number(Atomics.load(cells, i)));
  return { running, waiting, promptTokens };
}
