// rouge_score's tokenizer: lower-case runs of a-z and 0-9; words longer than three letters are stemmed.
import { porterStem } from "./porter.ts";

/**
 * Turns texts into token numbers, equal numbers for equal tokens. The stem of a word is computed once for all texts,
 * and numbers compare faster than words.
 */
export function wordNumbers(useStemmer: boolean): (text: string) => Int32Array {
  const numberOfWord = new Map<string, number>();
  const numberOfStem = new Map<string, number>();
  const numberOf = (word: string): number => {
    const stem = useStemmer && word.length > 3 ? porterStem(word) : word;
    let number = numberOfStem.get(stem);
    if (number === undefined) numberOfStem.set(stem, number = numberOfStem.size);
    numberOfWord.set(word, number);
    return number;
  };
  return (text) => {
    const words = text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
    return Int32Array.from(words, (word) => numberOfWord.get(word) ?? numberOf(word));
  };
}
