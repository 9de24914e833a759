// Beam search, as Transformers does it: of each prompt's answers so far the likeliest few go on together.
import type { PickAttributes } from "../engine/ops/pick_token.ts";
import type { Model } from "../models/model.ts";
import { openAnswers } from "./decode.ts";

/** How to search. */
export interface BeamSettings {
  readonly numBeams: number;
  /** Scores are divided by length ** lengthPenalty. */
  readonly lengthPenalty: number;
  readonly earlyStopping: boolean | "never";
  readonly eosTokenIds: readonly number[];
  readonly pick: Pick<PickAttributes, "repetitionPenalty" | "noRepeatNgramSize">;
  readonly signal?: AbortSignal;
}

/** An answer so far, and the sum of its tokens' log-probabilities (of a finished one: divided by its length's power). */
interface Beam {
  readonly tokens: readonly number[];
  readonly score: number;
}

/** A beam's next token. */
interface Candidate extends Beam {
  /** The beam that it goes on from. */
  readonly parent: number;
  /** Whether it ends the answer: by its token or by its length. */
  readonly ends: boolean;
}

/** One prompt's search. */
interface Search {
  running: readonly Beam[];
  /** The best that have ended, the best first; at most numBeams. */
  finished: readonly Beam[];
  done: boolean;
}

/** Stands for what can't be chosen, as in Transformers. */
const LOW = -1e9;

/** Each prompt's best answer, with the EOS that ended it; `limits` are their lengths at most. */
export async function searchBeams(
  given: Model,
  prompts: readonly (readonly number[])[],
  limits: readonly number[],
  settings: BeamSettings,
): Promise<number[][]> {
  const { numBeams, signal } = settings, longest = Math.max(...limits);
  const { model, streams, free } = await openAnswers(given, prompts, longest, numBeams);
  const { device, config: { vocabSize } } = model;
  // All of a prompt's beams are the same at first: only one of them may go on.
  const searches = prompts.map((): Search => ({
    running: Array.from({ length: numBeams }, (_, i) => ({ tokens: [], score: i === 0 ? 0 : LOW })),
    finished: [],
    done: false,
  }));
  try {
    let logits = await streams.start();
    for (let step = 0;; step++) {
      const [scores] = await device.read(logits) as Float32Array[];
      const parents = searches.flatMap((search, prompt) => {
        const first = prompt * numBeams;
        const rows = search.running.map((_, beam) =>
          scores.subarray((first + beam) * vocabSize, (first + beam + 1) * vocabSize)
        );
        const histories = search.running.map((
          { tokens },
          beam,
        ) => [...streams.begun[first + beam], ...tokens]);
        const own = search.done
          ? search.running.map((_, beam) => beam)
          : advance(search, rows, histories, limits[prompt], settings);
        return own.map((beam) => first + beam);
      });
      device.free(logits);
      if (searches.every(({ done }) => done) || signal?.aborted) break;
      await streams.reorder(parents);
      const last = searches.flatMap(({ running }) => running.map(({ tokens }) => tokens.at(-1)!));
      const ids = device.upload(Int32Array.from(last), [last.length], "i32");
      logits = await streams.next(ids, step);
      device.free(ids);
    }
  } finally {
    free();
  }
  return searches.map(({ finished, running }) => [...(finished[0] ?? running[0]).tokens]);
}

/** One token more of every beam of a prompt; returns the beam that each goes on from. */
function advance(
  search: Search,
  rows: readonly Float32Array[],
  histories: readonly number[][],
  limit: number,
  settings: BeamSettings,
): number[] {
  const { numBeams, lengthPenalty, earlyStopping, eosTokenIds } = settings;
  const length = search.running[0].tokens.length + 1;
  // So many that numBeams can go on though the best of each end.
  const kept = Math.max(2, 1 + eosTokenIds.length) * numBeams;
  const best = bestTokens(
    rows.map((row, i) => tokenScores(row, histories[i], settings)),
    search.running,
    kept,
  );
  const candidates = best.map(({ parent, token, score }): Candidate => ({
    tokens: [...search.running[parent].tokens, token],
    score,
    parent,
    ends: eosTokenIds.includes(token) || length === limit,
  }));
  const ended = candidates.slice(0, numBeams).filter(({ ends }) => ends)
    .map(({ tokens, score }) => ({ tokens, score: score / length ** lengthPenalty }));
  search.finished = [...search.finished, ...ended].sort(byScore).slice(0, numBeams);
  const next = candidates.map((candidate) => ({
    ...candidate,
    score: candidate.score + (candidate.ends ? LOW : 0),
  }))
    .sort(byScore).slice(0, numBeams);
  search.running = next.map(({ tokens, score }) => ({ tokens, score }));
  const full = search.finished.length === numBeams;
  const reach = earlyStopping === "never" && lengthPenalty > 0 ? limit : length;
  const hopeless = full && next[0].score / reach ** lengthPenalty <= search.finished.at(-1)!.score;
  search.done = hopeless || full && earlyStopping === true || candidates.every(({ ends }) => ends);
  return next.map(({ parent }) => parent);
}

const byScore = (a: Beam, b: Beam) => b.score - a.score;

/** The log-probability of every token after a history, changed by the rules against repetition. */
function tokenScores(
  logits: Float32Array,
  history: readonly number[],
  { pick: { repetitionPenalty, noRepeatNgramSize } }: BeamSettings,
): Float64Array {
  const highest = logits.reduce((most, value) => Math.max(most, value), -Infinity);
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - highest);
  const log = highest + Math.log(sum), scores = Float64Array.from(logits, (value) => value - log);
  if (repetitionPenalty !== 1) { for (const token of new Set(history)) scores[token] *= repetitionPenalty; }
  for (const token of banned(history, noRepeatNgramSize)) scores[token] = -Infinity;
  return scores;
}

/** Tokens that would complete a sequence of `size` tokens which has occurred. */
export function banned(history: readonly number[], size: number): number[] {
  if (size === 0 || history.length < size) return [];
  const tail = history.slice(history.length - size + 1);
  return history.flatMap((token, at) => {
    const start = at - size + 1;
    return start >= 0 && tail.every((value, i) => history[start + i] === value) ? [token] : [];
  });
}

/** The `count` best continuations of all beams, the best first. */
function bestTokens(scores: readonly Float64Array[], beams: readonly Beam[], count: number) {
  const best: { parent: number; token: number; score: number }[] = [];
  scores.forEach((row, parent) => {
    for (let token = 0; token < row.length; token++) {
      const score = row[token] + beams[parent].score;
      if (best.length === count && !(score > best[count - 1].score)) continue;
      let at = Math.min(best.length, count - 1);
      while (at > 0 && best[at - 1].score < score) at--;
      if (best.length === count) best.pop();
      best.splice(at, 0, { parent, token, score });
    }
  });
  return best;
}
