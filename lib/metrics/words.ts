// Words as NLTK's word_tokenize (3.9) splits them: sentence by sentence, by the rules of the Penn Treebank. Rules of later
// versions (a quote before a word of several letters) are left out: the scores that are compared with were made before them.
import { sentences } from "./sentences.ts";

const W = String.raw`[\p{L}\p{N}_]`;
const edge = (source: string, end = `(?!${W})`) => new RegExp(`(?<!${W})${source}${end}`, "giu");

/** In the order of NLTK: opening quotes, punctuation, brackets, dashes. */
const RULES: [RegExp, string][] = [
  [/([«“‘„]|`+)/g, " $1 "],
  [/^"/g, "``"],
  [/(``)/g, " $1 "],
  [/([ ([{<])("|'{2})/g, "$1 `` "],
  [new RegExp(`'(?!re|ve|ll|m|t|s|d|n)(${W})(?!${W})`, "giu"), "' $1"],
  [/([^.])(\.)([\])}>"'»”’ ]*)\s*$/g, "$1 $2 $3 "],
  [/([:,])([^\p{Nd}])/gu, " $1 $2"],
  [/([:,])$/g, " $1 "],
  [/\.{2,}/g, " $& "],
  [/[;@#$%&]/g, " $& "],
  [/([^.])(\.)([\])}>"']*)\s*$/g, "$1 $2$3 "],
  [/[?!]/g, " $& "],
  [/([^'])' /g, "$1 ' "],
  [/\*/g, " $& "],
  [/[\][(){}<>]/g, " $& "],
  [/--/g, " -- "],
];
/** Closing quotes and clitics, over the text with a space at either end. */
const ENDINGS: [RegExp, string][] = [
  [/([»”’])/g, " $1 "],
  [/''/g, " '' "],
  [/"/g, " '' "],
  [/\s+/g, " "],
  [/([^' ])('[sS]|'[mM]|'[dD]|') /g, "$1 $2 "],
  [/([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) /g, "$1 $2 "],
];
const CONTRACTIONS: RegExp[] = [
  edge("(can)(not)"),
  edge("(d)('ye)"),
  edge("(gim)(me)"),
  edge("(gon)(na)"),
  edge("(got)(ta)"),
  edge("(lem)(me)"),
  edge("(more)('n)"),
  edge("(wan)(na)", String.raw`(?=\s)`),
  new RegExp(` ('t)(is)(?!${W})`, "giu"),
  new RegExp(` ('t)(was)(?!${W})`, "giu"),
];

/** The words and marks of a text. */
export function wordTokenize(text: string): string[] {
  return sentences(text).flatMap(sentenceWords);
}

function sentenceWords(sentence: string): string[] {
  const apply = (text: string, rules: [RegExp, string][]) =>
    rules.reduce((changed, [pattern, replacement]) => changed.replace(pattern, replacement), text);
  const ended = apply(` ${apply(sentence, RULES)} `, ENDINGS);
  const split = CONTRACTIONS.reduce((changed, pattern) => changed.replace(pattern, " $1 $2 "), ended);
  return split.split(/\s+/).filter((word) => word !== "");
}
