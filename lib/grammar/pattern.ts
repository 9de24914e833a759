// JavaScript's regular expressions (as with the flag u) as terms. What ^, $ and looking ahead ask depends on what stands
// behind them, so each part is turned into a term together with all that follows it.

import { UserError } from "../errors.ts";
import { ANY, type CharSet, charSet, complement, intersect, union, without } from "./charset.ts";
import { type Cursor, cursorOf } from "../pattern_cursor.ts";
import type { Term, Terms } from "./terms.ts";

/** What a pattern was read into. */
type Part =
  | { kind: "set"; set: CharSet }
  | { kind: "start" | "end" }
  | { kind: "ahead"; part: Part; negative: boolean }
  | { kind: "all" | "any"; parts: Part[] } // one behind the other; one of them
  | { kind: "repeat"; part: Part; least: number; most: number };

/** Counts in braces above this would be written by nobody, and make terms that fill the memory. */
const HIGHEST_COUNT = 100_000;
const DEEPEST = 200, LONGEST = 50_000;

/**
 * The texts in which the pattern matches somewhere, as JSON Schema means it, or (`whole`) that it matches from beginning to end.
 *
 * @throws UserError where the pattern is none, or asks for what no automaton can tell (references to groups) or this one does not
 */
export function patternTerm(terms: Terms, pattern: string, whole: boolean): Term {
  if (pattern.length > LONGEST) throw new UserError(`it has more than ${LONGEST} characters`);
  checkSyntax(pattern);
  const part = new PatternReader(pattern).read();
  const end = whole ? terms.empty : terms.all;
  const begun = (atStart: boolean) => term(terms, part, { atStart: end, later: end }, atStart);
  if (whole) return begun(true);
  return terms.or(begun(true), terms.concat(terms.set(ANY), terms.all, begun(false)));
}

/** What follows a part, if nothing was read before it and if something was. */
interface Rest {
  atStart: Term;
  later: Term;
}

function term(terms: Terms, part: Part, rest: Rest, atStart: boolean): Term {
  const following = atStart ? rest.atStart : rest.later;
  if (!asks(part)) {
    const read = simple(terms, part), on = terms.concat(read, rest.later);
    return atStart && read.nullable ? terms.or(on, rest.atStart) : on;
  }
  switch (part.kind) {
    case "start":
      return atStart ? rest.atStart : terms.none;
    case "end":
      return following.nullable ? terms.empty : terms.none;
    case "ahead": {
      const seen = term(terms, part.part, { atStart: terms.all, later: terms.all }, atStart);
      return terms.and(part.negative ? terms.not(seen) : seen, following);
    }
    case "any":
      return terms.or(...part.parts.map((one) => term(terms, one, rest, atStart)));
    case "all": {
      const after = part.parts.slice(1).reduceRight<Rest>((next, one) => ({
        atStart: term(terms, one, next, true),
        later: term(terms, one, next, false),
      }), rest);
      return term(terms, part.parts[0], after, atStart);
    }
    case "repeat":
      return optional(terms, part, rest, atStart);
    case "set":
      return simple(terms, part);
  }
}

/** A part that does not look around itself. */
function simple(terms: Terms, part: Part): Term {
  if (part.kind === "set") return terms.set(part.set);
  if (part.kind === "repeat") return terms.repeat(simple(terms, part.part), part.least, part.most);
  if (part.kind !== "all" && part.kind !== "any") return terms.empty;
  const parts = part.parts.map((one) => simple(terms, one));
  return part.kind === "any" ? terms.or(...parts) : terms.concat(...parts);
}

/** A repetition of what looks around itself: once or not at all. */
function optional(
  terms: Terms,
  { part, least, most }: Part & { kind: "repeat" },
  rest: Rest,
  atStart: boolean,
): Term {
  if (least > 1 || most > 1) throw new UserError("it repeats ^, $ or (?=...), which is not supported");
  const once = most === 1 ? term(terms, part, rest, atStart) : terms.none;
  return least === 1 ? once : terms.or(once, atStart ? rest.atStart : rest.later);
}

function asks(part: Part): boolean {
  if (part.kind === "all" || part.kind === "any") return part.parts.some(asks);
  return part.kind === "repeat" ? asks(part.part) : part.kind !== "set";
}

function checkSyntax(pattern: string): void {
  try {
    new RegExp(pattern, "u");
  } catch (error) {
    throw new UserError(
      (error as Error).message.replace(/^Invalid regular expression: /, "not a regular expression: "),
    );
  }
}

/** Recursive descent over a pattern whose syntax is known to be right. */
class PatternReader {
  private readonly pattern: Cursor;
  private depth = 0;

  constructor(pattern: string) {
    this.pattern = cursorOf(pattern);
  }

  read(): Part {
    return this.alternatives();
  }

  private alternatives(): Part {
    if (++this.depth > DEEPEST) throw new UserError(`its groups are nested more than ${DEEPEST} deep`);
    const parts = [this.sequence()];
    while (this.pattern.take("|")) parts.push(this.sequence());
    this.depth--;
    return parts.length === 1 ? parts[0] : { kind: "any", parts };
  }

  private sequence(): Part {
    const parts: Part[] = [];
    while (this.pattern.next !== undefined && !"|)".includes(this.pattern.next)) {
      parts.push(this.repeated(this.single()));
    }
    return parts.length === 1 ? parts[0] : { kind: "all", parts };
  }

  private single(): Part {
    if (this.pattern.take("(")) return this.group();
    if (this.pattern.take("^")) return { kind: "start" };
    if (this.pattern.take("$")) return { kind: "end" };
    if (this.pattern.take(".")) return { kind: "set", set: complement(LINE_ENDS) };
    if (this.pattern.take("[")) return { kind: "set", set: this.characterClass() };
    return { kind: "set", set: this.pattern.take("\\") ? this.escape() : this.literal() };
  }

  private group(): Part {
    if (this.pattern.take("?<=") || this.pattern.take("?<!")) {
      throw new UserError("it looks behind, which is not supported");
    }
    const negative = this.pattern.take("?!"), ahead = negative || this.pattern.take("?=");
    if (
      !ahead && !this.pattern.take("?:") && !this.pattern.takeMatch(/^\?<[^>]*>/) && this.pattern.next === "?"
    ) {
      throw new UserError("it changes flags inside, which is not supported");
    }
    const part = this.alternatives();
    this.pattern.take(")");
    return ahead ? { kind: "ahead", part, negative } : part;
  }

  private repeated(part: Part): Part {
    const found = this.pattern.takeMatch(/^(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/);
    if (!found) return part;
    const [sign, from, comma, to] = found,
      [least, most] = {
        "*": [0, Infinity],
        "+": [1, Infinity],
        "?": [0, 1],
        "{": [Number(from), comma !== "," ? Number(from) : to === "" ? Infinity : Number(to)],
      }[sign[0]]!;
    if (least > HIGHEST_COUNT || most > HIGHEST_COUNT && most !== Infinity) {
      throw new UserError(`it counts beyond ${HIGHEST_COUNT}, which is not supported`);
    }
    return { kind: "repeat", part, least, most };
  }

  private characterClass(): CharSet {
    const negative = this.pattern.take("^");
    let set: CharSet = [];
    while (!this.pattern.take("]")) {
      const first = this.classAtom();
      // A range has one character on each side; "-" beside a class or at the end is itself.
      if (isOne(first) && this.pattern.takeMatch(/^-(?!\])/)) {
        set = union(set, charSet([[first[0], this.classAtom()[0]]]));
      } else set = union(set, first);
    }
    return negative ? complement(set) : intersect(set, ANY);
  }

  private classAtom(): CharSet {
    if (!this.pattern.take("\\")) return this.literal();
    return this.pattern.take("b") ? one(8) : this.pattern.take("-") ? one(45) : this.escape();
  }

  private literal(): CharSet {
    return one(this.pattern.takeMatch(/^[\s\S]/u)![0].codePointAt(0)!);
  }

  /** What stands behind a backslash. */
  private escape(): CharSet {
    const property = this.pattern.takeMatch(/^[pP]\{[^}]*\}/)?.[0];
    if (property) return propertySet(property);
    const code = this.pattern.takeMatch(/^(?:u\{([0-9a-fA-F]+)\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))/);
    if (code) return this.unit(parseInt(code[1] ?? code[2] ?? code[3], 16));
    const control = this.pattern.takeMatch(/^c([a-zA-Z])/);
    if (control) return one(control[1].charCodeAt(0) % 32);
    const letter = this.pattern.next!;
    if (/[1-9k]/.test(letter)) throw new UserError("it refers back to a group, which is not supported");
    if (/[bB]/.test(letter)) {
      throw new UserError("it asks for the edge of a word (\\b), which is not supported");
    }
    const escaped = CLASSES[letter] ?? CONTROLS[letter];
    if (!escaped) return this.literal();
    this.pattern.take(letter);
    return escaped;
  }

  /** Two halves of a surrogate pair are one character. */
  private unit(code: number): CharSet {
    if (code < 0xd800 || code > 0xdbff) return one(code);
    const low = this.pattern.takeMatch(/^\\u(d[c-f][0-9a-f]{2})/i);
    return one(low ? 0x10000 + (code - 0xd800) * 1024 + parseInt(low[1], 16) - 0xdc00 : code);
  }
}

const one = (code: number): CharSet => [code, code];
const isOne = (set: CharSet) => set.length === 2 && set[0] === set[1];

const LINE_ENDS: CharSet = [10, 10, 13, 13, 0x2028, 0x2029];
const DIGITS: CharSet = [48, 57];
const WORD: CharSet = [48, 57, 65, 90, 95, 95, 97, 122];
const SPACES: CharSet = charSet([
  [9, 13],
  [32, 32],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);
const CLASSES: Record<string, CharSet | undefined> = {
  d: DIGITS,
  D: complement(DIGITS),
  w: WORD,
  W: complement(WORD),
  s: SPACES,
  S: without(ANY, SPACES),
};
const CONTROLS: Record<string, CharSet | undefined> = {
  "0": one(0),
  t: one(9),
  n: one(10),
  v: one(11),
  f: one(12),
  r: one(13),
};

const properties = new Map<string, CharSet>();

/** A Unicode property, asked of JavaScript's own table: a million questions, once for each property. */
function propertySet(source: string): CharSet {
  const before = properties.get(source);
  if (before) return before;
  const expression = new RegExp(`^\\${source}$`, "u"), ranges: [number, number][] = [];
  for (const [from, to] of [[0, 0xd7ff], [0xe000, 0x10ffff]]) {
    for (let code = from; code <= to; code++) {
      if (!expression.test(String.fromCodePoint(code))) continue;
      const last = ranges.at(-1);
      if (last?.[1] === code - 1) last[1] = code;
      else ranges.push([code, code]);
    }
  }
  const set = charSet(ranges);
  properties.set(source, set);
  return set;
}
