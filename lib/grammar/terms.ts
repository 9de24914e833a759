// Regular expressions over code points as terms that are equal only if they are the same object, and their derivatives: the
// term for what may follow a character (Brzozowski 1964; symbolic as in Owens, Reppy and Turon 2009). Intersection and
// complement cost nothing extra, and x{1,500} is one term, not 500 states.

import { UserError } from "../errors.ts";
import { ANY, type CharSet, intersect, pairs, union } from "./charset.ts";

/** A set of texts. */
export interface Term {
  readonly id: number;
  readonly kind: "none" | "empty" | "set" | "concat" | "or" | "and" | "not" | "repeat";
  /** Whether the empty text is one of them. */
  readonly nullable: boolean;
  /** Made without `and` and `not`: then only `none` has no text at all. */
  readonly plain: boolean;
  readonly set: CharSet;
  readonly parts: readonly Term[];
  readonly least: number;
  readonly most: number;
  /** Of a sequence: so many parts at its beginning can be empty. */
  readonly run: number;
}

/** A sequence's parts. Sequences are long: nothing may call itself for each of them. */
export function factors(term: Term): Term[] {
  const list: Term[] = [];
  let rest = term;
  for (; rest.kind === "concat"; rest = rest.parts[1]) list.push(rest.parts[0]);
  return [...list, rest];
}

/** What follows each character, as sorted, disjoint ranges; characters of no range lead nowhere. */
export type Steps = readonly { lo: number; hi: number; to: Term }[];

/** Makes terms; those of one maker are compared by identity, and are forgotten with it. */
export interface Terms {
  readonly none: Term;
  readonly empty: Term;
  /** All texts. */
  readonly all: Term;
  set(set: CharSet): Term;
  text(text: string): Term;
  /** Any of many texts, as a tree of their beginnings. */
  texts(texts: readonly string[]): Term;
  concat(...parts: Term[]): Term;
  or(...parts: Term[]): Term;
  and(...parts: Term[]): Term;
  not(part: Term): Term;
  repeat(part: Term, least: number, most?: number): Term;
  steps(term: Term): Steps;
  /** How many terms there are. */
  readonly size: number;
}

/** So many terms are enough for any pattern that people write; all it a pattern would fill the memory. */
const MOST_TERMS = 200_000;
/** What a character leads to is asked of all parts that can be empty, each inside the one before. */
const MOST_OPTIONAL = 1000;

/** @param alphabet the characters that can be written at all */
export function createTerms(alphabet: CharSet): Terms {
  const known = new Map<string, Term>(), stepsOf = new Map<Term, Steps>();
  const make = (kind: Term["kind"], key: string, given: Partial<Term> & { nullable: boolean }): Term => {
    const name = `${kind} ${key}`, before = known.get(name);
    if (before) return before;
    if (known.size >= MOST_TERMS) {
      throw new UserError("The pattern or schema takes too many states: make it simpler.");
    }
    const parts = given.parts ?? [];
    const plain = kind !== "and" && kind !== "not" && parts.every((part) => part.plain);
    const term = { id: known.size, kind, plain, set: [], parts, least: 1, most: 1, run: 0, ...given };
    known.set(name, term);
    return term;
  };
  const ids = (parts: readonly Term[]) => parts.map(({ id }) => id).join(" ");

  const none = make("none", "", { nullable: false });
  const empty = make("empty", "", { nullable: true });
  const set = (chars: CharSet): Term => {
    const left = intersect(chars, alphabet);
    return left.length === 0 ? none : make("set", left.join(" "), { nullable: false, set: left });
  };
  /** A part that is no sequence itself, and what comes behind it. */
  const join = (first: Term, rest: Term): Term => {
    if (first === none || rest === none) return none;
    if (first === empty) return rest;
    if (rest === empty) return first;
    const run = first.nullable ? 1 + rest.run : 0;
    if (run > MOST_OPTIONAL) {
      throw new UserError(
        `The pattern has more than ${MOST_OPTIONAL} optional parts behind one another: make it simpler.`,
      );
    }
    return make("concat", ids([first, rest]), {
      nullable: first.nullable && rest.nullable,
      parts: [first, rest],
      run,
    });
  };
  const sequence = (parts: readonly Term[]): Term =>
    parts.reduceRight((rest, part) => {
      if (rest === empty) return part; // the last one, which may be long, stays whole
      return factors(part).reduceRight((after, one) => join(one, after), rest);
    }, empty);
  const concat = (...parts: Term[]): Term => sequence(parts);
  /** The parts of nested ors (or ands), each once, in an order of their own. */
  const flat = (kind: "or" | "and", parts: Term[]) =>
    [...new Set(parts.flatMap((part) => part.kind === kind ? part.parts : [part]))].sort((a, b) =>
      a.id - b.id
    );
  const or = (...given: Term[]): Term => {
    const parts = flat("or", given).filter((part) => part !== none);
    const sets = parts.filter(({ kind }) => kind === "set");
    if (sets.length > 1) {
      return or(...parts.filter(({ kind }) => kind !== "set"), set(union(...sets.map((part) => part.set))));
    }
    if (parts.includes(all)) return all;
    if (parts.length < 2) return parts[0] ?? none;
    return make("or", ids(parts), { nullable: parts.some(({ nullable }) => nullable), parts });
  };
  const and = (...given: Term[]): Term => {
    const parts = flat("and", given).filter((part) => part !== all);
    if (parts.includes(none)) return none;
    if (parts.length < 2) return parts[0] ?? all;
    return make("and", ids(parts), { nullable: parts.every(({ nullable }) => nullable), parts });
  };
  const not = (part: Term): Term => {
    if (part.kind === "not") return part.parts[0];
    if (part === none) return all;
    if (part === all) return none;
    return make("not", ids([part]), { nullable: !part.nullable, parts: [part] });
  };
  const repeat = (part: Term, least: number, most = Infinity): Term => {
    if (most === 0 || part === empty) return empty;
    if (part === none) return least === 0 ? empty : none;
    if (least === 1 && most === 1) return part;
    const from = part.nullable ? 0 : least; // nothing is one of its texts: as many times as wanted
    if (part.kind === "repeat" && part.least === 0 && part.most === Infinity && most === Infinity) {
      return part;
    }
    return make("repeat", `${part.id} ${from} ${most}`, {
      nullable: from === 0,
      parts: [part],
      least: from,
      most,
    });
  };
  const all = repeat(set(ANY), 0);

  const text = (characters: string): Term =>
    sequence([...characters].map((one) => set([one.codePointAt(0)!, one.codePointAt(0)!])));
  const texts = (list: readonly string[]): Term => tree([...new Set(list)].map((one) => [...one]));
  const tree = (list: string[][], at = 0): Term => {
    if (list.length === 0) return none;
    if (list.length === 1) return text(list[0].slice(at).join(""));
    let same = at;
    while (list.every((one) => one[same] !== undefined && one[same] === list[0][same])) same++;
    if (same > at) return concat(text(list[0].slice(at, same).join("")), tree(list, same));
    const groups = Map.groupBy(list, (characters) => characters[at]);
    return or(
      ...[...groups].map(([first, group]) =>
        first === undefined ? empty : concat(text(first), tree(group, at + 1))
      ),
    );
  };

  const steps = (term: Term): Steps => {
    const before = stepsOf.get(term);
    if (before) return before;
    const found = derive(term);
    stepsOf.set(term, found);
    return found;
  };
  const derive = (term: Term): Steps => {
    const [first, second] = term.parts;
    switch (term.kind) {
      case "none":
      case "empty":
        return [];
      case "set":
        return pairs(term.set).map(([lo, hi]) => ({ lo, hi, to: empty }));
      case "concat": {
        const inside = then(steps(first), second);
        return first.nullable ? joined(inside, steps(second), or) : inside;
      }
      case "or":
        return balanced(term.parts.map(steps), or);
      case "and":
        return balanced(term.parts.map(steps), and);
      case "not":
        return joined(steps(first), steps(all), (to, rest) => rest === none ? none : not(to));
      case "repeat":
        return then(steps(first), repeat(first, Math.max(term.least - 1, 0), term.most - 1));
    }
  };
  const then = (list: Steps, rest: Term): Steps =>
    list.map(({ lo, hi, to }) => ({ lo, hi, to: concat(to, rest) }));
  /** Pairwise, so that thousands of parts take no square of their number. */
  const balanced = (lists: Steps[], combine: (a: Term, b: Term) => Term): Steps => {
    if (lists.length === 1) return lists[0];
    const middle = lists.length >> 1;
    return joined(balanced(lists.slice(0, middle), combine), balanced(lists.slice(middle), combine), combine);
  };
  /** Both lists' targets combined, range by range; where a list leads nowhere its target is `none`. */
  const joined = (a: Steps, b: Steps, combine: (a: Term, b: Term) => Term): Steps => {
    const result: { lo: number; hi: number; to: Term }[] = [];
    let i = 0, j = 0, at = 0;
    while (i < a.length || j < b.length) {
      const one = a[i], two = b[j];
      const lo = Math.max(at, Math.min(one?.lo ?? Infinity, two?.lo ?? Infinity));
      const inOne = one !== undefined && one.lo <= lo, inTwo = two !== undefined && two.lo <= lo;
      const hi = Math.min(
        inOne ? one.hi : (one?.lo ?? Infinity) - 1,
        inTwo ? two.hi : (two?.lo ?? Infinity) - 1,
      );
      const to = combine(inOne ? one.to : none, inTwo ? two.to : none);
      const last = result.at(-1);
      if (last?.to === to && last.hi + 1 === lo) last.hi = hi;
      else if (to !== none) result.push({ lo, hi, to });
      at = hi + 1;
      if (one && one.hi < at) i++;
      if (two && two.hi < at) j++;
    }
    return result;
  };
  return {
    none,
    empty,
    all,
    set,
    text,
    texts,
    concat,
    or,
    and,
    not,
    repeat,
    steps,
    get size() {
      return known.size;
    },
  };
}
