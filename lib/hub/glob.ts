// Patterns of file names as data set cards write them. Matched in linear time, since a card is written by anybody: a regular
// expression made of it could be made to run for years.

/**
 * Whether a path fits a pattern: * and ? for letters within a step, [abc], [a-z] and [!a] for one letter, ** for any steps.
 * Steps that begin with a dot or two underlines fit only where the pattern says so (as in Python's datasets).
 */
export function matchesGlob(path: string, pattern: string): boolean {
  const steps = path.split("/"), wanted = pattern.split("/");
  const hidden = (parts: string[], start: RegExp) => parts.filter((part) => start.test(part)).length;
  if (hidden(steps, /^\./) !== hidden(wanted, /^\.(?!\.?$)/)) return false;
  if (hidden(steps.slice(0, -1), /^__/) !== hidden(wanted.slice(0, -1), /^__/)) return false;
  const tokens = wanted.map((step) => step === "**" ? ANY : letters(step));
  return matchesWild(steps, tokens, (step, token) => matchesWild([...step], token as Letter[], fitsLetter));
}

const ANY = Symbol("any number of them");
type Letter = typeof ANY | "any" | { letters: string; ranges: [string, string][]; not: boolean } | string;

/** A step's pattern, one entry a letter. */
function letters(step: string): Letter[] {
  const tokens: Letter[] = [];
  for (let at = 0; at < step.length; at++) {
    const closing = step[at] === "[" ? step.indexOf("]", at + 2) : -1;
    if (step[at] === "*") tokens.push(ANY);
    else if (step[at] === "?") tokens.push("any");
    else if (closing > 0) {
      tokens.push(letterClass(step.slice(at + 1, closing)));
      at = closing;
    } else tokens.push({ letters: step[at], ranges: [], not: false });
  }
  return tokens;
}

function letterClass(text: string): Letter {
  const not = /^[!^]/.test(text);
  const ranges: [string, string][] = [];
  const letters = (not ? text.slice(1) : text).replace(/(.)-(.)/gs, (_, from: string, to: string) => {
    ranges.push([from, to]);
    return "";
  });
  return { letters, ranges, not };
}

function fitsLetter(letter: string, token: unknown): boolean {
  if (token === "any") return true;
  const { letters, ranges, not } = token as Exclude<Letter, symbol | string>;
  return not !== (letters.includes(letter) || ranges.some(([from, to]) => from <= letter && letter <= to));
}

/** The classic match with one point to go back to: the last "any number". */
function matchesWild<Item, Token>(
  items: readonly Item[],
  tokens: readonly (Token | typeof ANY)[],
  fits: (item: Item, token: Token) => boolean,
): boolean {
  let item = 0, token = 0, backToken = -1, backItem = 0;
  while (item < items.length) {
    if (token < tokens.length && tokens[token] === ANY) {
      backToken = token++;
      backItem = item;
    } else if (token < tokens.length && fits(items[item], tokens[token] as Token)) {
      item++;
      token++;
    } else if (backToken >= 0) {
      token = backToken + 1;
      item = ++backItem;
    } else return false;
  }
  return tokens.slice(token).every((left) => left === ANY);
}
