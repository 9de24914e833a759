// The Porter stemmer in the variant that Python's rouge_score uses: NLTK's PorterStemmer with its extensions.
// Each step is a table of suffixes: the first suffix that fits decides, whether its condition holds or not.

/** A suffix, and what replaces it. */
type Rule = [suffix: string, replacement: string];

/** Forms that no rule gets right, as NLTK lists them. */
const IRREGULAR: ReadonlyMap<string, string> = new Map([
  ["sky", "sky"],
  ["skies", "sky"],
  ["dying", "die"],
  ["lying", "lie"],
  ["tying", "tie"],
  ["news", "news"],
  ["inning", "inning"],
  ["innings", "inning"],
  ["outing", "outing"],
  ["outings", "outing"],
  ["canning", "canning"],
  ["cannings", "canning"],
  ["howe", "howe"],
  ["proceed", "proceed"],
  ["exceed", "exceed"],
  ["succeed", "succeed"],
]);

const STEP_2: Rule[] = [
  ["ational", "ate"],
  ["tional", "tion"],
  ["enci", "ence"],
  ["anci", "ance"],
  ["izer", "ize"],
  ["bli", "ble"],
  ["alli", "al"],
  ["entli", "ent"],
  ["eli", "e"],
  ["ousli", "ous"],
  ["ization", "ize"],
  ["ation", "ate"],
  ["ator", "ate"],
  ["alism", "al"],
  ["iveness", "ive"],
  ["fulness", "ful"],
  ["ousness", "ous"],
  ["aliti", "al"],
  ["iviti", "ive"],
  ["biliti", "ble"],
  ["fulli", "ful"],
];

const STEP_3: Rule[] = [
  ["icate", "ic"],
  ["ative", ""],
  ["alize", "al"],
  ["iciti", "ic"],
  ["ical", "ic"],
  ["ful", ""],
  ["ness", ""],
];

const STEP_4 = [
  ...["al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion"],
  ...["ou", "ism", "ate", "iti", "ous", "ive", "ize"],
];

/** One letter per letter: "c" a consonant, "v" a vowel. A y is a vowel after a consonant. */
function shape(word: string): string {
  let result = "", previous = "v";
  for (const letter of word) {
    const vowel = letter === "y" ? previous === "c" : "aeiou".includes(letter);
    result += previous = vowel ? "v" : "c";
  }
  return result;
}

/** The paper's m: how many times a consonant follows a vowel. */
function measure(word: string): number {
  return shape(word).split("vc").length - 1;
}

/** The paper's *o: ends consonant, vowel, consonant (not w, x, y); NLTK adds words of vowel + consonant. */
function endsShort(word: string): boolean {
  const letters = shape(word);
  return letters === "vc" || (letters.endsWith("cvc") && !/[wxy]$/.test(word));
}

function endsDoubleConsonant(word: string): boolean {
  return word.length > 1 && word.at(-1) === word.at(-2) && shape(word).endsWith("c");
}

/** Plurals. Four letters keep their "ie" ("ties" -> "tie"), longer words do not ("flies" -> "fli"). */
function step1a(word: string): string {
  if (word.endsWith("ies")) return word.slice(0, word.length === 4 ? -1 : -2);
  if (word.endsWith("sses")) return word.slice(0, -2);
  return word.endsWith("s") && !word.endsWith("ss") ? word.slice(0, -1) : word;
}

/** -ed and -ing, and the repair of what is left. */
function step1b(word: string): string {
  if (word.endsWith("ied")) return word.slice(0, word.length === 4 ? -1 : -2);
  if (word.endsWith("eed")) return measure(word.slice(0, -3)) > 0 ? word.slice(0, -1) : word;
  const ending = /(?:ed|ing)$/.exec(word);
  if (!ending) return word;
  const stem = word.slice(0, ending.index);
  if (!shape(stem).includes("v")) return word;
  if (/(?:at|bl|iz)$/.test(stem)) return stem + "e";
  if (endsDoubleConsonant(stem)) return /[lsz]$/.test(stem) ? stem : stem.slice(0, -1);
  return measure(stem) === 1 && endsShort(stem) ? stem + "e" : stem;
}

/** -y after a consonant that is not the whole stem. */
function step1c(word: string): string {
  if (!word.endsWith("y")) return word;
  const stem = word.slice(0, -1);
  return stem.length > 1 && shape(stem).endsWith("c") ? stem + "i" : word;
}

function step2(word: string): string {
  if (word.endsWith("alli") && measure(word.slice(0, -4)) > 0) return step2(word.slice(0, -2));
  // The l of -logi counts with the stem, so that short ones (geo-, theo-) work like long ones.
  if (word.endsWith("logi")) return measure(word.slice(0, -3)) > 0 ? word.slice(0, -1) : word;
  return replaceSuffix(word, STEP_2);
}

function replaceSuffix(word: string, rules: Rule[]): string {
  const rule = rules.find(([suffix]) => word.endsWith(suffix));
  if (!rule) return word;
  const stem = word.slice(0, -rule[0].length);
  return measure(stem) > 0 ? stem + rule[1] : word;
}

function step4(word: string): string {
  const suffix = STEP_4.find((ending) => word.endsWith(ending));
  if (!suffix) return word;
  const stem = word.slice(0, -suffix.length);
  return measure(stem) > 1 && (suffix !== "ion" || /[st]$/.test(stem)) ? stem : word;
}

/** A last -e, then one l of a last -ll. */
function step5(word: string): string {
  if (word.endsWith("e")) {
    const stem = word.slice(0, -1), m = measure(stem);
    if (m > 1 || (m === 1 && !endsShort(stem))) word = stem;
  }
  return word.endsWith("ll") && measure(word.slice(0, -1)) > 1 ? word.slice(0, -1) : word;
}

/**
 * The stem of one word of lower-case letters and digits: NLTK's `PorterStemmer` in its default mode
 * (Porter 1980, "An algorithm for suffix stripping", with NLTK's irregular forms and extensions).
 */
export function porterStem(word: string): string {
  const irregular = IRREGULAR.get(word);
  if (irregular) return irregular;
  if (word.length <= 2) return word;
  return step5(step4(replaceSuffix(step2(step1c(step1b(step1a(word)))), STEP_3)));
}
