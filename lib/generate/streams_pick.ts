// The next token of one stream, from its logits in JavaScript: the same rules in the same order as lib/engine/ops/pick_token.ts,
// and OpenAI's penalties and biases; each stream draws its own random numbers, whatever else is in the batch.
import { banned } from "./beams.ts";
import type { Constraint } from "./constraint.ts";
import { likeliest, uniform } from "./pick.ts";

/** How one stream's tokens are chosen. */
export interface PickRules {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly repetitionPenalty: number;
  readonly noRepeatNgramSize: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  readonly logitBias: ReadonlyMap<number, number>;
  readonly seed: number;
  readonly streamId: number;
}

/** A token and how likely the model itself found it. */
export interface TokenLogprob {
  /** Its id. */
  readonly token: number;
  /** Natural logarithm of its probability, before temperature, penalties and constraints. */
  readonly logprob: number;
}

/** Which token comes next; undefined where the constraint allows none. `history` begins with the prompt of length `begun`. */
export function nextToken(
  logits: Float32Array,
  rules: PickRules,
  { history, begun, constraint }: { history: readonly number[]; begun: number; constraint?: Constraint },
): number | undefined {
  const mask = constraint?.mask();
  let scores = rewarded(logits, rules, history, begun);
  if (mask) {
    if (scores === logits) scores = logits.slice();
    for (let id = 0; id < scores.length; id++) {
      if (!(mask[id >>> 5] >>> (id & 31) & 1)) scores[id] = -Infinity;
    }
  }
  const best = likeliest(scores);
  if (scores[best] === -Infinity) return undefined;
  if (rules.temperature === 0) return best;
  return drawn(scores, rules, uniform(rules.seed, rules.streamId, history.length - begun));
}

/** The logits, or a copy of them changed by the rules about what has occurred. */
function rewarded(
  logits: Float32Array,
  rules: PickRules,
  history: readonly number[],
  begun: number,
): Float32Array {
  const { repetitionPenalty, noRepeatNgramSize, frequencyPenalty, presencePenalty, logitBias } = rules;
  const changed = repetitionPenalty !== 1 || noRepeatNgramSize > 0 || frequencyPenalty !== 0 ||
    presencePenalty !== 0 || logitBias.size > 0;
  if (!changed) return logits;
  const scores = logits.slice();
  if (repetitionPenalty !== 1) {
    const penalty = Math.fround(repetitionPenalty);
    for (const id of new Set(history)) {
      scores[id] = scores[id] < 0 ? scores[id] * penalty : scores[id] / penalty;
    }
  }
  for (const id of banned(history, noRepeatNgramSize)) scores[id] = -Infinity;
  if (frequencyPenalty !== 0 || presencePenalty !== 0) {
    const counts = new Map<number, number>();
    for (const id of history.slice(begun)) counts.set(id, (counts.get(id) ?? 0) + 1);
    for (const [id, count] of counts) scores[id] -= count * frequencyPenalty + presencePenalty;
  }
  for (const [id, bias] of logitBias) scores[id] += bias;
  return scores;
}

/** Draws from softmax(scores / temperature) within topK and topP, by inverse CDF in vocabulary order; ties at a limit stay. */
function drawn(
  scores: Float32Array,
  { temperature, topK, topP }: PickRules,
  random: number,
): number {
  const kth = topK > 0 && topK < scores.length ? kthLargest(scores, topK) : -Infinity;
  const highest = scores[likeliest(scores)], p = new Float64Array(scores.length);
  let sum = 0;
  for (let id = 0; id < p.length; id++) {
    if (scores[id] >= kth) sum += p[id] = Math.exp((scores[id] - highest) / temperature);
  }
  const least = topP < 1 ? leastInNucleus(p, sum, topP) : 0;
  let mass = 0;
  for (let id = 0; id < p.length; id++) mass += p[id] >= least ? p[id] : p[id] = 0;
  let last = 0, reached = 0;
  for (let id = 0; id < p.length; id++) {
    if (p[id] === 0) continue;
    reached += p[id];
    last = id;
    if (reached > random * mass) break;
  }
  return last;
}

/** The smallest of p (which sum to `sum`) among the fewest likeliest that have the share `topP` together. */
function leastInNucleus(p: Float64Array, sum: number, topP: number): number {
  // What is below this has less than 1 - topP together, so the nucleus lies above it: few are left to sort.
  const candidates = p.filter((value) => value * p.length >= (1 - topP) * sum).sort().reverse();
  let before = 0, least = candidates[0];
  for (const value of candidates) {
    if (before >= topP * sum) break;
    least = value;
    before += value;
  }
  return least;
}

function kthLargest(scores: Float32Array, k: number): number {
  return k <= 100 ? scores[largest(scores, k)[k - 1]] : scores.slice().sort()[scores.length - k];
}

/** The ids of the `count` largest, the largest first; of equal ones the first. */
export function largest(scores: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let id = 0; id < scores.length; id++) {
    if (best.length === count && !(scores[id] > scores[best[count - 1]])) continue;
    let low = 0, high = best.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (scores[best[middle]] >= scores[id]) low = middle + 1;
      else high = middle;
    }
    if (best.length === count) best.pop();
    best.splice(low, 0, id);
  }
  return best;
}

/** The log-probability of a token, and of the `count` likeliest. */
export function logprobsOf(
  logits: Float32Array,
  token: number,
  count: number,
): { logprob: number; top: TokenLogprob[] } {
  const highest = logits[likeliest(logits)];
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - highest);
  const of = (id: number) => logits[id] - highest - Math.log(sum);
  return { logprob: of(token), top: largest(logits, count).map((id) => ({ token: id, logprob: of(id) })) };
}
