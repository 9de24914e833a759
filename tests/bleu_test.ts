// BLEU and chrF against sacrebleu and NLTK (tests/reference/bleu.py).
import assert from "node:assert/strict";
import { corpusBleu, sentenceBleu } from "../lib/metrics/bleu.ts";
import { chrfScore } from "../lib/metrics/chrf.ts";
import { wordTokenize } from "../lib/metrics/words.ts";
import { refused } from "./refused.ts";

interface Case {
  prediction: string;
  reference: string;
  words: string[];
  sentenceBleu: number;
  bleu: number;
  chrf: number;
  chrfPlusPlus: number;
}
interface Bleu {
  score: number;
  precisions: number[];
  bp: number;
  sys_len: number;
  ref_len: number;
}
const { cases, corpus }: {
  cases: Case[];
  corpus: { bleu: Bleu; bleuOfTwo: Bleu; chrf: number; chrfPlusPlusOfTwo: number };
} = JSON.parse(await Deno.readTextFile(new URL("reference/bleu/cases.json", import.meta.url)));

const near = (actual: number, expected: number, what: string) =>
  assert.ok(Math.abs(actual - expected) <= 1e-9, `${what}: ${actual}, expected ${expected}`);

Deno.test("words as NLTK's word_tokenize", () => {
  for (const { prediction, words } of cases) assert.deepEqual(wordTokenize(prediction), words);
});

Deno.test("scores of single pairs as NLTK's and sacrebleu's", () => {
  assert.ok(cases.length >= 77);
  for (const row of cases) {
    const { prediction, reference } = row, what = JSON.stringify(prediction);
    near(sentenceBleu(prediction, reference), row.sentenceBleu, `sentence BLEU of ${what}`);
    near(corpusBleu([prediction], [reference]).score, row.bleu, `BLEU of ${what}`);
    near(chrfScore([prediction], [reference]), row.chrf, `chrF of ${what}`);
    near(chrfScore([prediction], [reference], { wordOrder: 2 }), row.chrfPlusPlus, `chrF++ of ${what}`);
  }
});

Deno.test("scores of a corpus, with one reference and with two, as sacrebleu's", () => {
  const predictions = cases.map((row) => row.prediction), first = cases.map((row) => row.reference);
  const two = first.map((reference, i) => [reference, first[(i + 1) % first.length]]);
  for (const [references, expected] of [[first, corpus.bleu], [two, corpus.bleuOfTwo]] as const) {
    const bleu = corpusBleu(predictions, references);
    near(bleu.score, expected.score, "BLEU");
    bleu.precisions.forEach((precision, i) => near(precision, expected.precisions[i], `precision ${i + 1}`));
    near(bleu.brevityPenalty, expected.bp, "brevity penalty");
    assert.deepEqual([bleu.predictionLength, bleu.referenceLength], [expected.sys_len, expected.ref_len]);
  }
  near(chrfScore(predictions, first), corpus.chrf, "chrF");
  near(chrfScore(predictions, two, { wordOrder: 2 }), corpus.chrfPlusPlusOfTwo, "chrF++");
});

Deno.test("what cannot be scored is said", async () => {
  await refused("no rows", () => corpusBleu([], []), /BLEU needs at least one prediction/);
  await refused("other counts", () => corpusBleu(["a"], []), /1 predictions and 0 references/);
  await refused(
    "a number",
    () => chrfScore(["a"], [7]),
    /chrF compares texts, but reference 1 is of type number/,
  );
});
