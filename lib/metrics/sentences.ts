// Sentences as NLTK's sent_tokenize finds them: Punkt (Kiss & Strunk 2006), with a list of English abbreviations in place of
// parameters trained on newspapers. What the trained model knows besides (collocations, how words are capitalised) is left out.

const MULTI = String.raw`(?:-{2,}|\.{2,}|(?:\.\s){2,}\.)`;
const NON_WORD = String.raw`[)";}\]*:@'({\[?!]`;
const WORD_END = String.raw`(?=\s|$|${NON_WORD}|${MULTI}|,(?=$|\s|${NON_WORD}|${MULTI}))`;
const TOKEN = new RegExp(
  String.raw`${MULTI}|(?=[^("\x60{\[:;&#*@)}\]\-,])\S+?${WORD_END}|\S`,
  "g",
);
const CANDIDATE = new RegExp(String.raw`[.?!](?=(${NON_WORD}|\s+(\S+)))`, "g");
const CLOSING = /^["')\]}]+?(?:\s+|(?=--)|$)/m;

const ABBREVIATIONS = new Set(
  ("a.m p.m e.g i.e vs no inc corp co ltd l.p n.v s.a cos bros cie ave st ft yr vol dr mr mrs ms messrs prof jr sr ph.d " +
    "gen sen rep gov lt col capt maj adm jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun u.s " +
    "u.s.a u.k u.n d.c n.y n.j n.h n.c n.d n.m s.c s.d r.i calif fla tex mass conn wash ariz ill mich minn wis tenn ga va " +
    "pa ore colo okla ark nev kan neb mo ky ala del md r.j j.p").split(" "),
);

/** The sentences of a text, without the space between them. */
export function sentences(text: string): string[] {
  const cuts = candidates(text).filter(({ context }) => endsSentence(context));
  const starts = [0, ...cuts.map(({ next }) => next)];
  const ends = [...cuts.map(({ end }) => end), text.trimEnd().length];
  return realigned(text, starts, ends);
}

interface Candidate {
  /** Behind the mark. */
  end: number;
  /** Where the next sentence would start. */
  next: number;
  /** The word with the mark, and what follows. */
  context: string;
}

/** Marks that may end a sentence; of several in one word only the last counts. */
function candidates(text: string): Candidate[] {
  const found: (Candidate & { wordStart: number; mark: number })[] = [];
  for (const match of text.matchAll(CANDIDATE)) {
    const last = found.at(-1), mark = match.index, from = last?.mark ?? 0;
    const space = lastSpace(text.slice(from, mark));
    const wordStart = space ? from + space + 1 : last?.wordStart ?? 0;
    if (last && last.mark > wordStart) found.pop();
    const next = match[2] === undefined ? mark + 1 : mark + 1 + match[1].length - match[2].length;
    found.push({ mark, wordStart, end: mark + 1, next, context: text.slice(wordStart, mark + 1) + match[1] });
  }
  return found;
}

function lastSpace(text: string): number {
  for (let i = text.length - 1; i > 0; i--) if (/\s/.test(text[i])) return i;
  return 0;
}

function endsSentence(context: string): boolean {
  const tokens = context.split("\n").flatMap((line) => line.match(TOKEN) ?? []);
  return tokens.some((token, i) => i + 1 < tokens.length && isBreak(token, tokens[i + 1]));
}

function isBreak(token: string, next: string): boolean {
  if (token === "." || token === "?" || token === "!") return true;
  if (!token.endsWith(".") || token.endsWith("..")) return false;
  const word = token.slice(0, -1).toLowerCase();
  if (ABBREVIATIONS.has(word) || ABBREVIATIONS.has(word.split("-").at(-1)!)) return false;
  // An initial or a number goes on, unless a capital or no letter follows: "1. save money", "J. Smith".
  const isInitial = /^\p{L}\.$/u.test(token), isNumber = /^-?[.,]?\d[\d,.-]*\.?$/.test(token);
  if (!isInitial && !isNumber) return true;
  const lower = /^\p{Ll}/u.test(next), upper = /^\p{Lu}/u.test(next);
  return !(lower || /^[;:,.!?]$/.test(next) || (isInitial && upper));
}

/** Closing quotes and brackets belong to the sentence before them. */
function realigned(text: string, starts: number[], ends: number[]): string[] {
  const found: string[] = [];
  let moved = 0;
  starts.forEach((start, i) => {
    const from = start + moved;
    moved = 0;
    const closing = i + 1 < starts.length ? CLOSING.exec(text.slice(starts[i + 1], ends[i + 1])) : null;
    if (closing) moved = closing[0].length;
    const sentence = text.slice(from, closing ? starts[i + 1] + closing[0].trimEnd().length : ends[i]);
    if (sentence !== "") found.push(sentence);
  });
  return found;
}
