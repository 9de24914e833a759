// Near-duplicates and decontamination on texts whose similarity is known.

import assert from "node:assert/strict";
import { Dataset } from "../lib/data/dataset.ts";
import { decontaminate } from "../lib/data/decontaminate.ts";
import { bandsFor } from "../lib/data/minhash.ts";
import { dedupeNear, nearDuplicates } from "../lib/data/near.ts";
import { seededRandom } from "../lib/data/random.ts";
import { shingles, wordsOf } from "../lib/data/shingles.ts";
import { UserError } from "../lib/errors.ts";

const key = (text: string) => text;
/** `count` words that the number decides. */
const words = (seed: number, count: number) => {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => `w${Math.floor(random() * 1e6)}`);
};
const changed = (text: string[], at: number[]) => text.map((word, i) => at.includes(i) ? word + "x" : word);

Deno.test("words: letters and digits in lower case; scripts without spaces go by the character", () => {
  assert.deepEqual(wordsOf("It's 12.5% of Zürich’s — A/B!"), [
    "it",
    "s",
    "12",
    "5",
    "of",
    "zürich",
    "s",
    "a",
    "b",
  ]);
  assert.deepEqual(wordsOf("GDP成長率 up"), ["gdp", "成", "長", "率", "up"]);
  assert.equal(shingles("a b c d e a b c d e", 5).length, 5);
  assert.deepEqual(shingles("one two", 5), shingles("One, two!", 13));
  assert.notDeepEqual(shingles("?", 5), shingles("!", 5));
  assert.notDeepEqual(shingles("a b", 5), shingles("a b c", 5));
});

Deno.test("near: similarity is Jaccard's over 5-word runs, and the threshold is kept exactly", () => {
  const text = words(1, 100); // 96 runs; a changed word in the middle changes 5 of them: 91 / 101
  const rows = [text, changed(text, [50]), changed(text, [20, 50]), changed(text, [99])].map((t) =>
    t.join(" ")
  );
  const pairs = nearDuplicates(rows, { key, threshold: 0.7 });
  assert.deepEqual(pairs, [
    { first: 0, second: 1, similarity: 91 / 101 },
    { first: 0, second: 2, similarity: 86 / 106 },
    { first: 1, second: 2, similarity: 91 / 101 },
    { first: 0, second: 3, similarity: 95 / 97 },
    { first: 1, second: 3, similarity: 90 / 102 },
    { first: 2, second: 3, similarity: 85 / 107 },
  ]);
  const edge = nearDuplicates(rows.slice(0, 2), { key, threshold: 91 / 101, numPerm: 512 });
  assert.equal(edge.length, 1);
  assert.equal(nearDuplicates(rows.slice(0, 2), { key, threshold: 91 / 101 + 1e-9, numPerm: 512 }).length, 0);
});

Deno.test("near: pairs at the threshold are found as surely as the bands promise", () => {
  assert.deepEqual([bandsFor(0.8, 128), bandsFor(0.5, 128), bandsFor(1, 128)], [
    { rows: 6, bands: 21 },
    { rows: 3, bands: 42 },
    { rows: 128, bands: 1 },
  ]);
  const rows = Array.from({ length: 600 }, (_, i) => words(1000 + i, 94)).flatMap((text) => [
    text.join(" "),
    changed(text, [40, 60]).join(" "), // 80 / 100
  ]);
  const pairs = nearDuplicates(rows, { key, threshold: 0.8 });
  assert.ok(pairs.every(({ first, second, similarity }) => second === first + 1 && similarity === 0.8));
  assert.ok(pairs.length >= 0.99 * 600, String(pairs.length));
});

Deno.test("dedupeNear: the first of a group stays; what goes is near to what stays", () => {
  const text = words(2, 30),
    drift = [text, changed(text, [0, 29]), changed(text, [0, 1, 28, 29]), words(3, 30)];
  const rows = new Dataset(drift.map((t) => ({ text: t.join(" ") })), "drift");
  // 0-1: 24/28 = 0.857, 1-2: 24/28, 0-2: 22/30 = 0.733: row 2 is near only to one that went
  const { kept, dropped, ...report } = dedupeNear(rows, { key: "text", threshold: 0.8 });
  assert.deepEqual(dropped, [{ first: 0, second: 1, similarity: 24 / 28 }]);
  assert.deepEqual(kept.toArray(), [0, 2, 3].map((i) => rows.at(i)));
  assert.equal(
    String(report),
    "drift: 1 of 4 rows are near-duplicates (similarity 0.8 or more) of rows before them",
  );
  assert.equal(dedupeNear(rows, { key: "text", threshold: 1 }).kept.length, 4);
  assert.equal(dedupeNear(new Dataset<{ text: string }>([]), { key: "text" }).kept.length, 0);
});

Deno.test("decontaminate: 13 words in a row, whole short texts and near-duplicates; common phrases do not count", () => {
  const question = words(4, 40);
  const boiler = words(5, 20).join(" ");
  const test = new Dataset(
    [question.join(" "), "What is a bond?", `${boiler} ${words(6, 30).join(" ")}`],
    "test",
  );
  const quotes = `${words(7, 50).join(" ")} ${question.slice(10, 23).join(" ")} ${words(8, 9).join(" ")}`;
  const train = new Dataset([
    quotes, // 13 words of row 0: one of its 28 runs
    question.slice(10, 22).join(" "), // 12 words are too few
    "what is a BOND", // row 1 itself
    "What is a bond? It is a loan that a company or a state takes from many lenders.", // only contains row 1
    changed(question, [39]).join(" "), // near to row 0: 27 of 28 runs of 13, 35 of 37 of 5
    ...Array.from({ length: 11 }, (_, i) => `${words(20 + i, 30).join(" ")} ${boiler}`), // a phrase of 11 rows
  ], "train");
  const found = decontaminate(train, test, { key });
  assert.deepEqual(found.overlaps, [
    { train: 0, test: 0, overlap: 1 / 28 },
    { train: 2, test: 1, overlap: 1, similarity: 1 },
    { train: 4, test: 0, overlap: 27 / 28, similarity: 35 / 37 },
  ]);
  assert.deepEqual([found.trainRows, found.testRows, found.train.length, found.test.length], [
    [0, 2, 4],
    [0, 1],
    13,
    3,
  ]);
  assert.equal(
    String(found),
    "3 of 16 training rows (train) overlap 2 of 3 test rows (test); these training rows are left out",
  );
  const kept = decontaminate(train, test, { key, drop: "test", threshold: 0.5 });
  assert.deepEqual([kept.trainRows, kept.train.length, kept.test.length], [[2, 4], 16, 1]);
  const none = decontaminate(train, test, { key, drop: "none", common: 20 });
  assert.deepEqual([none.train.length, none.test.length, none.trainRows.length], [16, 3, 14]);
});

Deno.test("near and decontaminate: rows without the text, and options out of range", () => {
  const rows = new Dataset<Record<string, unknown>>([{ q: "a" }, { q: null }], "rows.csv");
  const cases: [() => unknown, RegExp][] = [
    [
      () => nearDuplicates(rows, { key: "q" }),
      /rows\.csv, row 1: field "q" is null: rows are compared by text/,
    ],
    [() => dedupeNear(rows, { key: "r" }), /rows\.csv, row 0: field "r" is missing/],
    [() => nearDuplicates(["a"], { key, threshold: 0 }), /threshold is 0/],
    [() => nearDuplicates(["a"], { key, ngram: 0 }), /ngram is 0/],
    [() => nearDuplicates(["a"], { key, numPerm: 1.5 }), /numPerm is 1\.5/],
    [() => decontaminate(rows.take(1), rows, { key: "q" }), /row 1: field "q" is null/],
    [() => decontaminate(rows, rows, { key: "q", threshold: 2 }), /threshold is 2/],
  ];
  for (const [run, message] of cases) {
    assert.throws(
      run,
      (error: Error) => error instanceof UserError && message.test(error.message),
      String(message),
    );
  }
});
