// A term as an automaton that is made while it runs: its states, what leads on from them, and how they end soonest. No state
// is a dead end: what can never become a whole text is left out.

import { UserError } from "../errors.ts";
import { type CharSet, pairs } from "./charset.ts";
import { factors, type Steps, type Term, type Terms } from "./terms.ts";

export interface CharState {
  readonly id: number;
  /** Whether the text may end here. */
  readonly accepts: boolean;
  /** Fewest characters to an end. */
  readonly least: number;
  readonly term: Term;
}

export type CharSteps = readonly { lo: number; hi: number; to: CharState }[];

export interface Characters {
  /** The term's first state; undefined where it has no text. */
  start(term: Term): CharState | undefined;
  steps(state: CharState): CharSteps;
  /** The state after a character; undefined where the text cannot go on with it. */
  next(state: CharState, code: number): CharState | undefined;
  /** Whether the text can go on with a character between lo and hi (inclusive). */
  reaches(state: CharState, lo: number, hi: number): boolean;
  /** The state after every character between lo and hi, where it is the same for all of them. */
  onlyAfter(state: CharState, lo: number, hi: number): CharState | undefined;
  /** A shortest text from here to an end, of plain characters where there are any. */
  shortest(state: CharState): string;
  /** Any character of `set`, so many times: see {@linkcode Freedom}. */
  freedom(state: CharState, set: CharSet): Freedom;
  /**
   * The name of a set of which any characters can follow, at least `depth` of them, the text being free to end after each:
   * for fewer characters than that, states with the same name are the same. Undefined for others.
   */
  openTo(state: CharState, depth: number): string | undefined;
}

/** How many characters of a set a text may have next, whichever they are. */
export interface Freedom {
  /** 0 to MOST_FREE. */
  count: number;
  /** Whether more of them are surely wrong, or there is no token with more. */
  exact: boolean;
  /** Most characters that are missing to an end on the way. */
  furthest: number;
}

/** No token is longer than this, in characters. */
export const MOST_FREE = 512;
/** States that a search for an end may look at. */
const MOST_SEARCHED = 50_000;

export function createCharacters(terms: Terms): Characters {
  const states = new Map<Term, CharState | undefined>(), stepsOf = new Map<CharState, CharSteps>();
  const freedoms = new Map<CharState, Freedom>(), leasts = new Map<Term, number>();

  const start = (term: Term): CharState | undefined => {
    if (states.has(term)) return states.get(term);
    const least = fewest(term);
    const state = least === Infinity ? undefined : { id: states.size, accepts: term.nullable, least, term };
    states.set(term, state);
    return state;
  };
  const steps = (state: CharState): CharSteps => {
    let found = stepsOf.get(state);
    if (!found) {
      found = terms.steps(state.term).flatMap(({ lo, hi, to }) => {
        const next = start(to);
        return next ? [{ lo, hi, to: next }] : [];
      });
      stepsOf.set(state, found);
    }
    return found;
  };

  /** Fewest characters of a text of the term; Infinity where it has none. */
  const fewest = (term: Term): number => {
    let least = leasts.get(term);
    if (least === undefined) leasts.set(term, least = term.plain ? fewestPlain(term) : searched(term));
    return least;
  };
  const fewestPlain = (term: Term): number => {
    const { kind, parts, least } = term;
    switch (kind) {
      case "none":
        return Infinity;
      case "set":
        return 1;
      case "concat":
        return factors(term).reduce((sum, one) => sum + fewest(one), 0);
      case "or":
        return Math.min(...parts.map(fewest));
      case "repeat":
        return least * fewest(parts[0]);
      default:
        return 0;
    }
  };
  /** The same for terms with `and` and `not`, whose parts do not tell it: by looking for the nearest end. */
  const searched = (from: Term): number => {
    const before = new Map<Term, Term | undefined>([[from, undefined]]);
    let best = Infinity, end: Term | undefined, layer = [from];
    for (let distance = 0; layer.length > 0 && distance < best; distance++) {
      const further: Term[] = [];
      for (const term of layer) {
        const rest = term.nullable ? 0 : leasts.get(term);
        if (rest !== undefined && distance + rest < best) [best, end] = [distance + rest, term];
        if (rest !== undefined) continue;
        for (const { to } of terms.steps(term)) {
          if (before.has(to)) continue;
          before.set(to, term);
          further.push(to);
        }
      }
      if (before.size > MOST_SEARCHED) {
        throw new UserError(
          "The patterns and lengths of a string take too many states together: make them simpler.",
        );
      }
      layer = further;
    }
    // The way there tells the others' distances; without an end all that were seen have none.
    for (const term of end ? [] : before.keys()) leasts.set(term, Infinity);
    for (let term = end, rest = end ? leasts.get(end) ?? 0 : 0; term; term = before.get(term)) {
      leasts.set(term, rest++);
    }
    return best;
  };

  const at = (state: CharState, code: number) => steps(state)[placeOf(steps(state), code)];
  return {
    start,
    steps,
    next(state, code) {
      const step = at(state, code);
      return step && step.lo <= code ? step.to : undefined;
    },
    reaches(state, lo, hi) {
      const step = at(state, lo);
      return step !== undefined && step.lo <= hi;
    },
    onlyAfter(state, lo, hi) {
      const only = onlyTarget(steps(state), lo, hi);
      return only === "various" ? undefined : only;
    },
    shortest(state) {
      let text = "";
      for (let one = state; one.least > 0;) {
        const onward = steps(one).filter(({ to }) => to.least === one.least - 1);
        const code = PREFERRED.find((code) => onward.some(({ lo, hi }) => lo <= code && code <= hi)) ??
          onward[0].lo;
        text += String.fromCodePoint(code);
        one = onward.find(({ lo, hi }) => lo <= code && code <= hi)!.to;
      }
      return text;
    },
    freedom(state, set) {
      let found = freedoms.get(state);
      if (!found) freedoms.set(state, found = freedomOf(state, pairs(set), steps));
      return found;
    },
    openTo(state, depth) {
      const first = steps(state);
      for (let i = 0, one = state; i <= depth; i++) {
        const list = steps(one), to = list[0]?.to;
        if (!one.accepts || !to || !sameRanges(list, first) || list.some((step) => step.to !== to)) {
          return undefined;
        }
        if (to === one) break; // the same forever
        one = to;
      }
      return first.map(({ lo, hi }) => `${lo}-${hi}`).join();
    },
  };
}

const sameRanges = (a: CharSteps, b: CharSteps): boolean =>
  a.length === b.length && a.every(({ lo, hi }, i) => lo === b[i].lo && hi === b[i].hi);

/** Letters first, then figures, then all of ASCII that can be seen. */
const PREFERRED = [...Array(26).keys()].map((i) => 97 + i).concat(
  [...Array(10).keys()].map((i) => 48 + i),
  [...Array(95).keys()].map((i) => 32 + i),
);

/** The first step that does not end before `code`. */
function placeOf(steps: Steps | CharSteps, code: number): number {
  let from = 0, to = steps.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (steps[middle].hi < code) from = middle + 1;
    else to = middle;
  }
  return from;
}

function freedomOf(
  from: CharState,
  set: readonly (readonly [number, number])[],
  steps: (state: CharState) => CharSteps,
): Freedom {
  let state = from, furthest = 0;
  for (let count = 0; count < MOST_FREE; count++) {
    const list = steps(state);
    const targets = set.map(([lo, hi]) => onlyTarget(list, lo, hi));
    const [to] = targets;
    if (to === "various" || targets.some((target) => target !== to)) return { count, exact: false, furthest };
    if (to === undefined) return { count, exact: true, furthest };
    furthest = Math.max(furthest, to.least);
    if (to === state) break;
    state = to;
  }
  return { count: MOST_FREE, exact: true, furthest };
}

/** Where all characters between lo and hi lead: to one state, nowhere (undefined), or to various places. */
function onlyTarget(steps: CharSteps, lo: number, hi: number): CharState | undefined | "various" {
  const place = placeOf(steps, lo), step = steps[place];
  if (step === undefined || step.lo > hi) return undefined;
  for (let at = lo, i = place;; i++) {
    const one = steps[i];
    if (one === undefined || one.lo > at || one.to !== step.to) return "various";
    if (one.hi >= hi) return step.to;
    at = one.hi + 1;
  }
}
