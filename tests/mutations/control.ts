// The control of a score: one meaningful change in each of many right answers, and which of them it does not notice.
import { seededRandom } from "../../lib/data/random.ts";

/** A right answer and what one change made of it. */
export interface Changed {
  /** What was changed. */
  kind: string;
  gold: string;
  changed: string;
}

/** What a score made of the changed answers. */
export interface Control {
  score: string;
  items: number;
  /** Answers that are scored as if they were right, with the kind of their change. */
  survivors: string[];
}

/** Counts the changed answers that a score takes for right. */
export function controlOf(score: string, items: readonly Changed[], right: readonly boolean[]): Control {
  const survivors = items.flatMap(({ kind, gold, changed }, i) =>
    right[i] ? [`${kind}: ${gold} -> ${changed}`] : []
  );
  return { score, items: items.length, survivors };
}

/** Random choices, the same for the same seed. */
export function chooser(seed: number) {
  const random = seededRandom(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)];
  return {
    pick,
    /** Another than this one. */
    other: <T>(list: readonly T[], than: T): T => pick(list.filter((one) => one !== than)),
    whole: (from: number, to: number): number => from + Math.floor(random() * (to - from + 1)),
    chance: (share: number): boolean => random() < share,
  };
}
