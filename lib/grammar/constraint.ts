// Which tokens may come next: the machine walked together with the vocabulary's tries. A state's mask is made when it is first
// asked for, and kept; near the limit of tokens only those remain after which the text can still be finished.

import { UserError } from "../errors.ts";
import type { Constraint, ConstraintSource } from "../generate/constraint.ts";
import { boundedMap } from "../text/bounded_map.ts";
import { DEAD, type Machine, UNKNOWN } from "./machine.ts";
import type { Trie, Vocabulary } from "./vocabulary.ts";

/** A state's tokens. */
interface Mask {
  readonly words: Uint32Array;
  /** At least as many tokens as finish the text after any of them. */
  furthest: number;
  /** Whether `furthest` is their exact number. */
  exact: boolean;
}

/** Masks of one grammar take at most about twice as many bytes; a machine with more states than this is begun anew. */
const MASK_BYTES = 2 ** 25, MOST_STATES = 2 ** 15;

/** A grammar's machine, and whether what it is made from has grown too large since. */
export interface Built {
  readonly machine: Machine;
  grown(): boolean;
}

/** @param build makes the grammar's machine; again when one has grown too large */
export function constraintSource(vocabulary: Vocabulary, build: () => Built): ConstraintSource {
  let built = build(), masks = maskMaker(vocabulary, built.machine);
  return {
    start(maxNewTokens = Infinity) {
      if (built.machine.states.length > MOST_STATES || built.grown()) {
        masks = maskMaker(vocabulary, (built = build()).machine);
      }
      const shortest = masks.need(masks.machine.start);
      if (shortest > maxNewTokens) {
        throw new UserError(
          `The shortest answer that is allowed takes ${shortest} tokens, and maxNewTokens is ${maxNewTokens}: raise it.`,
        );
      }
      return follow(vocabulary, masks, maxNewTokens);
    },
  };
}

/** One answer's way through the machine. */
function follow(vocabulary: Vocabulary, masks: MaskMaker, maxNewTokens: number): Constraint {
  const { machine } = masks;
  let state = machine.start, left = maxNewTokens, ended = false;
  /** The tokens of the shortest way to the end, as long as they are followed. */
  let plan: number[] | undefined;
  return {
    get done() {
      return ended || machine.states[state].ended;
    },
    mask() {
      if (ended) return masks.nothing;
      const { words, furthest } = masks.full(state);
      if (furthest < left) return words;
      if (masks.exactly(state) < left) return words;
      plan ??= masks.plan(state);
      return masks.near(state, left, plan[0]);
    },
    accept(token) {
      left--;
      if (!ended && vocabulary.eosIds.includes(token) && machine.states[state].accepts) {
        ended = true;
        return;
      }
      const bytes = vocabulary.bytesOf(token);
      let next = bytes ? state : DEAD;
      for (const byte of bytes ?? []) next = next === DEAD ? DEAD : machine.next(next, byte);
      if (next === DEAD || ended) {
        throw new UserError(`Token ${token} is none that may come here: take one that the mask allows.`);
      }
      state = next;
      plan = plan?.[0] === token ? plan.slice(1) : undefined;
    },
  };
}

interface MaskMaker {
  readonly machine: Machine;
  /** No token. */
  readonly nothing: Uint32Array;
  /** All tokens that may come. */
  full(state: number): Mask;
  /** Most tokens that are missing to an end after any token that may come. */
  exactly(state: number): number;
  /** Tokens that leave enough of the `left` for the rest, and `planned`. */
  near(state: number, left: number, planned: number | undefined): Uint32Array;
  /** The tokens of a short way to the end, and their number. */
  plan(state: number): number[];
  need(state: number): number;
}

function maskMaker(vocabulary: Vocabulary, machine: Machine): MaskMaker {
  const { all, rest, twins, size, eosIds } = vocabulary, length = Math.ceil(size / 32);
  const known = boundedMap<number | string, Mask>(Math.max(64, Math.floor(MASK_BYTES / (4 * length))));
  const needs = new Map<number, number>();

  const allow = (words: Uint32Array, token: number) => {
    for (let id = token; id >= 0; id = twins[id]) words[id >> 5] |= 1 << (id & 31);
  };
  const begin = (state: number, words: Uint32Array): Uint32Array => {
    if (machine.states[state].accepts) { for (const id of eosIds) words[id >> 5] |= 1 << (id & 31); }
    return words;
  };
  const full = (state: number): Mask => {
    const before = known.get(state);
    if (before) return before;
    // A long text's states, one for each length, have the same mask as long as no token meets their end.
    const likeness = machine.likeness(state, all.deepest),
      mask = likeness === undefined ? undefined : known.get(likeness);
    const made = mask ?? make(state);
    known.set(state, made);
    if (!mask && likeness !== undefined) known.set(likeness, made);
    return made;
  };
  const make = (state: number): Mask => {
    const free = machine.freedom(state), ends = new Set<number>();
    const words = begin(state, free ? vocabulary.free(free.count).slice() : new Uint32Array(length));
    let last = -1;
    walk(free ? rest : all, machine, state, (token, end) => {
      if (end !== last) ends.add(last = end);
      allow(words, token);
    });
    const further = free && free.count > 0 ? machine.bound(state) + 6 * free.furthest : 0;
    return { words, furthest: furthestOf(ends, machine.bound, further), exact: false };
  };
  const plan = (state: number): number[] => vocabulary.spell(machine.finish(state));
  const need = (state: number): number => {
    let count = needs.get(state);
    if (count === undefined) needs.set(state, count = plan(state).length);
    return count;
  };
  return {
    machine,
    nothing: new Uint32Array(length),
    full,
    plan,
    need,
    exactly(state) {
      const mask = full(state);
      if (!mask.exact) {
        const ends = new Set<number>();
        walk(all, machine, state, (_, end) => ends.add(end));
        mask.furthest = furthestOf(ends, need, 0);
        mask.exact = true;
      }
      return mask.furthest;
    },
    near(state, left, planned) {
      const words = begin(state, new Uint32Array(length));
      walk(all, machine, state, (token, end) => need(end) < left && allow(words, token));
      // Not its twins: a plan is left by any other token, and the next one may be longer.
      if (planned !== undefined) words[planned >> 5] |= 1 << (planned & 31);
      return words;
    },
  };
}

function furthestOf(ends: Iterable<number>, distance: (state: number) => number, least: number): number {
  let furthest = least;
  for (const end of ends) furthest = Math.max(furthest, distance(end));
  return furthest;
}

/** Every token that can follow a state, with the state behind it; a beginning that cannot is left with all that begin so. */
function walk(
  { bytes, depths, skip, tokens, deepest }: Trie,
  machine: Machine,
  state: number,
  take: (token: number, end: number) => void,
): void {
  const path = new Int32Array(deepest + 1);
  path[0] = state;
  for (let node = 0; node < bytes.length;) {
    const depth = depths[node], from = path[depth], byte = bytes[node];
    let to = machine.transitions[256 * from + byte];
    if (to === UNKNOWN) to = machine.next(from, byte);
    if (to === DEAD) {
      node = skip[node];
      continue;
    }
    path[depth + 1] = to;
    if (tokens[node] >= 0) take(tokens[node], to);
    node++;
  }
}
