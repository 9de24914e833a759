// Python's re.fullmatch for the patterns of adapter configurations, which come from strangers: every pattern is matched in
// polynomial time. Instead of backtracking, each part of the pattern tells at which places it can end when it begins at a
// given place; as places are few (a module's name is short) and every answer is remembered, nothing is tried twice.

import { UserError } from "./errors.ts";
import { type Cursor, cursorOf } from "./pattern_cursor.ts";

/** Longest pattern: those that people write have some hundred characters. */
const LONGEST = 4000;
const DEEPEST = 100;
/** Questions that may be asked of a pattern's parts for one text: a thousand times what patterns in use need. */
const MOST_ASKED = 1_000_000;

/** Where a part can end in the text (sorted, each once) when it begins at `start`. */
type Part = (text: Text, start: number) => readonly number[];

/** The text and what was found out about it. */
interface Text {
  characters: string;
  known: Map<Part, (readonly number[])[]>;
  /** Questions that were asked of parts. */
  asked: number;
}

/**
 * A function that tells whether a text matches the whole pattern, as Python's `re.fullmatch` does. Understood are literals,
 * `.`, classes and their escapes, groups of every kind but conditionals, alternatives, all repetitions, `^`, `$`, `\b`, and
 * looking ahead. What needs backtracking (references to groups) or looks behind is refused.
 *
 * @throws UserError where the pattern cannot be read, or (from the function) where matching takes too long
 */
export function fullMatcher(pattern: string): (text: string) => boolean {
  if (pattern.length > LONGEST) throw new UserError(`it has more than ${LONGEST} characters`);
  const reader = new PatternReader(pattern);
  const whole = reader.alternatives(0);
  reader.end();
  return (characters) => whole({ characters, known: new Map(), asked: 0 }, 0).includes(characters.length);
}

/** Recursive descent; each method reads one kind of part. */
class PatternReader {
  private readonly pattern: Cursor;

  constructor(pattern: string) {
    this.pattern = cursorOf(pattern);
  }

  end(): void {
    if (this.pattern.next !== undefined) throw this.unreadable();
  }

  alternatives(depth: number): Part {
    if (depth > DEEPEST) throw new UserError(`its groups are nested more than ${DEEPEST} deep`);
    const parts = [this.sequence(depth)];
    while (this.pattern.take("|")) parts.push(this.sequence(depth));
    return parts.length === 1
      ? parts[0]
      : remembered((text, start) => union(parts.map((part) => part(text, start))));
  }

  private sequence(depth: number): Part {
    const parts: Part[] = [];
    while (this.pattern.next !== undefined && !"|)".includes(this.pattern.next)) {
      parts.push(this.repeated(this.single(depth)));
    }
    return remembered((text, start) =>
      parts.reduce<readonly number[]>((places, part) => union(places.map((place) => part(text, place))), [
        start,
      ])
    );
  }

  private single(depth: number): Part {
    if (this.pattern.take("(")) return this.group(depth);
    if (this.pattern.take("^")) return (_, start) => start === 0 ? [start] : [];
    if (this.pattern.take("$")) return ({ characters }, start) => start === characters.length ? [start] : [];
    if (this.pattern.take(".")) return oneCharacter((character) => character !== "\n");
    if ("*+?{".includes(this.pattern.next!)) throw this.unreadable();
    if (this.pattern.next === "[") return oneCharacter(this.characterClass());
    if (this.pattern.take("\\b")) return wordBoundary;
    return oneCharacter(this.character());
  }

  private group(depth: number): Part {
    const negative = this.pattern.take("?!"), ahead = negative || this.pattern.take("?=");
    if (!ahead && !this.pattern.take("?:")) {
      if (this.pattern.take("?P<") && !this.pattern.takeMatch(/^\w+>/)) throw this.unreadable();
      if (this.pattern.next === "?") throw this.unreadable();
    }
    const inner = this.alternatives(depth + 1);
    if (!this.pattern.take(")")) throw this.unreadable();
    if (!ahead) return inner;
    return (text, start) => inner(text, start).length > 0 !== negative ? [start] : [];
  }

  /** The part with its `*`, `+`, `?` or `{m,n}`; greedy or not makes no difference to whether the whole matches. */
  private repeated(part: Part): Part {
    const [least, most] = this.quantifier();
    if (least === 1 && most === 1) return part;
    if ("*+?".includes(this.pattern.next ?? " ")) {
      if (!this.pattern.take("?")) throw this.unreadable(); // possessive, or a repetition of a repetition
    }
    return remembered((text, start) => repeat(part, text, start, least, most));
  }

  private quantifier(): [least: number, most: number] {
    if (this.pattern.take("*")) return [0, Infinity];
    if (this.pattern.take("+")) return [1, Infinity];
    if (this.pattern.take("?")) return [0, 1];
    const braces = this.pattern.takeMatch(/^\{(\d*)(,?)(\d*)\}/);
    if (!braces) return [1, 1];
    const [, from, comma, to] = braces;
    const least = Number(from), most = comma === "" ? least : to === "" ? Infinity : Number(to);
    if ((from === "" && comma === "") || most < least) throw this.unreadable();
    return [least, most];
  }

  private characterClass(): (character: string) => boolean {
    // Escapes and literals of a class mean in JavaScript what they mean in Python; each class matches one character.
    const source = this.pattern.takeMatch(/^\[\^?\]?(?:\\[\s\S]|[^\]\\])*\]/)?.[0];
    if (source === undefined) throw this.unreadable();
    return this.tester(source.replace(/^(\[\^?)\]/, "$1\\]")); // Python's []a] begins with a bracket
  }

  private character(): (character: string) => boolean {
    if (this.pattern.next !== "\\") {
      const literal = this.pattern.takeMatch(/^[\s\S]/)![0];
      return (character) => character === literal;
    }
    const escape = this.pattern.takeMatch(/^\\(?:[dDwWsSnrtfv]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[^a-zA-Z0-9])/)
      ?.[0];
    if (escape === undefined) throw this.unreadable();
    const literal = escape[1];
    return /^\W$/.test(literal) ? (character) => character === literal : this.tester(escape);
  }

  private tester(source: string): (character: string) => boolean {
    try {
      const pattern = new RegExp(`^${source}$`);
      return (character) => pattern.test(character);
    } catch {
      throw this.unreadable();
    }
  }

  private unreadable(): UserError {
    const { text, at } = this.pattern;
    return new UserError(`${JSON.stringify(text.slice(at, at + 20))} at character ${at} is not understood`);
  }
}

/**
 * Places after `least` to `most` repetitions. Places never go back, so that among more repetitions than the text has
 * characters one stands still, and may as well be left out or done again: larger counts mean the same.
 */
function repeat(part: Part, text: Text, start: number, least: number, most: number): readonly number[] {
  const enough = text.characters.length + 1;
  let places: readonly number[] = [start];
  for (let i = Math.min(least, enough); i > 0; i--) places = union(places.map((place) => part(text, place)));
  const seen = new Set(places);
  let fresh = places;
  for (let i = Math.min(most - least, enough); i > 0 && fresh.length > 0; i--) {
    fresh = union(fresh.map((place) => part(text, place))).filter((place) => !seen.has(place));
    for (const place of fresh) seen.add(place);
  }
  return [...seen].sort((a, b) => a - b);
}

const oneCharacter = (matches: (character: string) => boolean): Part => ({ characters }, start) =>
  start < characters.length && matches(characters[start]) ? [start + 1] : [];

const wordBoundary: Part = ({ characters }, start) =>
  /\w/.test(characters[start - 1] ?? " ") !== /\w/.test(characters[start] ?? " ") ? [start] : [];

function union(lists: (readonly number[])[]): readonly number[] {
  return lists.length === 1 ? lists[0] : [...new Set(lists.flat())].sort((a, b) => a - b);
}

/** The same part, asked once for each place of a text. */
function remembered(part: Part): Part {
  const asked: Part = (text, start) => {
    if (++text.asked > MOST_ASKED) throw new UserError("it takes too long to match");
    let answers = text.known.get(asked);
    if (!answers) text.known.set(asked, answers = []);
    return answers[start] ??= part(text, start);
  };
  return asked;
}
