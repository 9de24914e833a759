// Where the reader of a pattern stands in it.

/** A text that is read from its beginning to its end. */
export interface Cursor {
  readonly text: string;
  /** UTF-16 units that are read. */
  readonly at: number;
  /** The next unit; undefined at the end. */
  readonly next: string | undefined;
  /** Reads exactly this, if it comes next. */
  take(expected: string): boolean;
  /** Reads what the expression (which begins with ^) finds. */
  takeMatch(expression: RegExp): RegExpExecArray | null;
}

export function cursorOf(text: string): Cursor {
  let at = 0;
  return {
    text,
    get at() {
      return at;
    },
    get next() {
      return text[at];
    },
    take(expected) {
      const found = text.startsWith(expected, at);
      if (found) at += expected.length;
      return found;
    },
    takeMatch(expression) {
      const found = expression.exec(text.slice(at));
      at += found?.[0].length ?? 0;
      return found;
    },
  };
}
