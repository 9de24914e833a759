// ROUGE and the stemmer against rouge_score and NLTK (tests/reference/rouge.py), and against sums done by hand.
import assert from "node:assert/strict";
import { UserError } from "../lib/errors.ts";
import { perplexity } from "../lib/metrics/perplexity.ts";
import { porterStem } from "../lib/metrics/porter.ts";
import { rougeRows, rougeScore, type RougeScores } from "../lib/metrics/rouge.ts";

interface Reference {
  cases: { prediction: string; reference: string; useStemmer: boolean; scores: Record<string, number[]> }[];
  stems: string;
}

const reference: Reference = JSON.parse(
  await Deno.readTextFile(new URL("reference/rouge/cases.json", import.meta.url)),
);

/** The scores in rouge_score's own order: kind -> [precision, recall, fmeasure]. */
function toArrays(scores: RougeScores): Record<string, number[]> {
  return Object.fromEntries(
    Object.entries(scores).map(([kind, s]) => [kind, [s.precision, s.recall, s.fmeasure]]),
  );
}

Deno.test("stems equal NLTK's", () => {
  const pairs = reference.stems.split(" ").map((pair) => pair.split(":"));
  assert.ok(pairs.length > 2000);
  for (const [word, stem] of pairs) assert.equal(porterStem(word), stem, word);
});

Deno.test("scores of hard pairs equal rouge_score's", () => {
  assert.ok(reference.cases.length > 100);
  for (const { prediction, reference: text, useStemmer, scores } of reference.cases) {
    const [row] = rougeRows([prediction], [text], { useStemmer });
    for (const [kind, values] of Object.entries(toArrays(row))) {
      values.forEach((value, i) =>
        assert.ok(Math.abs(value - scores[kind][i]) <= 1e-12, `${kind} of ${JSON.stringify(prediction)}`)
      );
    }
  }
});

Deno.test("means are taken over rows, and rows share no state", () => {
  const cases = reference.cases.filter((row) => row.useStemmer);
  const predictions = cases.map((row) => row.prediction), references = cases.map((row) => row.reference);
  const rows = rougeRows(predictions, references);
  const means = toArrays(rougeScore(predictions, references));
  for (const kind of ["rouge1", "rouge2", "rougeL", "rougeLsum"]) {
    cases.forEach(({ scores }, i) => assert.deepEqual(toArrays(rows[i])[kind], scores[kind]));
    for (let part = 0; part < 3; part++) {
      const mean = cases.reduce((sum, { scores }) => sum + scores[kind][part], 0) / cases.length;
      assert.ok(Math.abs(means[kind][part] - mean) <= 1e-12);
    }
  }
});

Deno.test("scores by hand", () => {
  const [row] = rougeRows(["w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5"], ["w1 w2 w3 w4 w5"]);
  assert.deepEqual(row.rougeLsum, {
    precision: 4 / 10,
    recall: 4 / 5,
    fmeasure: 2 * 0.4 * 0.8 / (0.4 + 0.8),
  });
  assert.equal(row.rougeL.recall, 4 / 5);
  assert.equal(row.rouge2.precision, 1 / 9);
  assert.equal(rougeScore(["rated"], ["rates"], { useStemmer: false }).rouge1.fmeasure, 0);
  assert.equal(rougeScore(["rated"], ["rates"]).rouge1.fmeasure, 1);
});

Deno.test("a user's mistakes are named", () => {
  const fails = (run: () => unknown, message: RegExp) =>
    assert.throws(run, (error: Error) => error instanceof UserError && message.test(error.message));
  fails(() => rougeScore(["a"], []), /1 predictions and 0 references/);
  fails(() => rougeScore([], []), /at least one prediction/);
  fails(() => rougeScore(["a", "b"], ["a", 3]), /reference 2 is of type number/);
  fails(() => rougeScore(["a"], [null]), /reference 1 is null/);
  fails(() => rougeScore([undefined as unknown as string], ["a"]), /prediction 1 is of type undefined/);
});

Deno.test("perplexity is the exponential of the mean loss", () => {
  assert.equal(perplexity(0), 1);
  assert.ok(Math.abs(perplexity(2) - 7.38905609893065) < 1e-12);
});
