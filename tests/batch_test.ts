// Batches from token ids and from rows, number by number, in both layouts.

import assert from "node:assert/strict";
import { type Batch, batchOf } from "../lib/data/batch.ts";
import { Dataset } from "../lib/data/dataset.ts";
import { type BatchOptions, packBatches, padBatches } from "../lib/data/pack.ts";
import { blockBuilder } from "../lib/data/token_rows.ts";
import { chat, financeQA } from "../lib/data/prompt.ts";
import type { Row } from "../lib/data/row.ts";
import { UserError } from "../lib/errors.ts";
import { loadTokenizer, type Tokenizer } from "../lib/text/tokenizer.ts";

const tiny = await loadTokenizer(
  new URL("./reference/tiny_tokenizer/", import.meta.url).pathname,
) as Tokenizer;
const plain = (batch: Batch) =>
  Object.fromEntries(Object.entries(batch).map(([k, v]) => [k, typeof v === "number" ? v : [...v]]));

const ROWS = [{ inputIds: [1, 5, 6], labels: [-100, -100, 6] }, { inputIds: [1, 7] }, {
  inputIds: [1, 8, 9, 2],
  labels: [1, 8, -100, 2],
}];

Deno.test("batchOf padded: every number", () => {
  assert.deepEqual(plain(batchOf(ROWS, { layout: "padded" })), {
    inputIds: [1, 5, 6, 0, 1, 7, 0, 0, 1, 8, 9, 2],
    positions: [0, 1, 2, 0, 0, 1, 0, 1, 0, 1, 2, 3],
    rowOf: [0, 0, 0, -1, 1, 1, -1, -1, 2, 2, 2, 2],
    ranges: [0, 1, 0, 2, 0, 3, 3, 4, 4, 5, 4, 6, 6, 7, 6, 8, 8, 9, 8, 10, 8, 11, 8, 12],
    targetIndex: [1, 4, 8, 10],
    targetIds: [6, 7, 8, 2],
    rows: [0, 1, 2],
    tokens: 9,
  });
});

Deno.test("batchOf packed: rows behind one another, filled up to 64 with a run of padding of its own", () => {
  const batch = batchOf(ROWS);
  const zeros = new Array(55).fill(0);
  assert.deepEqual([...batch.inputIds], [1, 5, 6, 1, 7, 1, 8, 9, 2, ...zeros]);
  assert.deepEqual([...batch.positions], [0, 1, 2, 0, 1, 0, 1, 2, 3, ...zeros.keys()]);
  assert.deepEqual([...batch.rowOf], [0, 0, 0, 1, 1, 2, 2, 2, 2, ...zeros.map(() => -1)]);
  assert.deepEqual([...batch.ranges.subarray(0, 18)], [0, 1, 0, 2, 0, 3, 3, 4, 3, 5, 5, 6, 5, 7, 5, 8, 5, 9]);
  assert.deepEqual([...batch.ranges.subarray(18, 22)], [9, 10, 9, 11]);
  assert.deepEqual([...batch.ranges.subarray(126)], [9, 64]);
  assert.deepEqual([[...batch.targetIndex], [...batch.targetIds]], [[1, 3, 5, 7], [6, 7, 8, 2]]);
  assert.deepEqual([batch.tokens, batch.rows], [9, [0, 1, 2]]);
  assert.equal(batchOf([{ inputIds: new Int32Array(64) }]).inputIds.length, 64);
  assert.equal(batchOf([{ inputIds: new Int32Array(65) }]).inputIds.length, 128);
});

Deno.test("batchOf: what is no row of token ids is refused by place", () => {
  const cases: [unknown[], RegExp][] = [
    [[], /at least one row/],
    [[{ inputIds: [1] }, { inputIds: [] }], /the batch, row 1: inputIds should be a list of at least one/],
    [[{ inputIds: null }], /row 0: inputIds should be a list/],
    [[{ inputIds: [1, -1] }], /row 0: inputIds\[1\] is -1, not a token id/],
    [[{ inputIds: [1.5] }], /inputIds\[0\] is 1\.5/],
    [[{ inputIds: [-100] }], /inputIds\[0\] is -100/],
    [[{ inputIds: "12" }], /inputIds\[0\] is 1, not/],
    [[{ inputIds: [1, 2], labels: [1] }], /row 0: 2 inputIds but 1 labels/],
    [[{ inputIds: [1, 2], labels: [1, -99] }], /labels\[1\] is -99/],
    [[{ inputIds: [1, 2 ** 31] }], /is 2147483648/],
  ];
  for (const [rows, message] of cases) {
    assert.throws(
      () => batchOf(rows as never),
      (error: Error) => error instanceof UserError && message.test(error.message),
      String(message),
    );
  }
});

/** Rows of 3 to 12 token ids, told apart by their second id. */
const TOKENS = new Dataset<Row>(
  Array.from({ length: 21 }, (_, n) => ({ inputIds: [1, 100 + n, ...new Array(1 + n % 10).fill(9)] })),
  "ids",
);
const rowsOf = (batches: Iterable<Batch>) => [...batches].map((batch) => batch.rows);

Deno.test("the layout changes neither which rows make a step nor how many steps there are", () => {
  const [packed, padded] = [packBatches(TOKENS), padBatches(TOKENS)];
  assert.deepEqual([packed.length, packed.rows, packed.batchSize], [3, 21, 8]);
  assert.deepEqual(rowsOf(packed).map((rows) => rows.length), [8, 8, 5]);
  assert.deepEqual(rowsOf(packed), rowsOf(padded));
  assert.deepEqual(rowsOf(packed.shuffle(7)), rowsOf(padded.shuffle(7)));
  for (const [i, batch] of [...packed].entries()) {
    assert.deepEqual(batch.targetIds, [...padded][i].targetIds);
    assert.equal(batch.inputIds.length % 64, 0);
  }
});

Deno.test("shuffle permutes rows across batches, by the seed alone, and keeps each row's number", () => {
  const batches = packBatches(TOKENS);
  const once = rowsOf(batches.shuffle(1));
  assert.deepEqual(rowsOf(batches.shuffle(5).shuffle(1)).flat().sort((a, b) => a - b), [...Array(21).keys()]);
  assert.deepEqual(rowsOf(batches.shuffle(1)), once);
  assert.notDeepEqual(rowsOf(batches.shuffle(2)), once);
  assert.deepEqual(once.flat().sort((a, b) => a - b), [...Array(21).keys()]);
  assert.ok(once[0].some((row) => row >= 8));
  for (const batch of batches.shuffle(1)) {
    batch.rowOf.forEach((row, at) => {
      if (batch.positions[at] === 1 && row >= 0) assert.equal(batch.inputIds[at], 100 + row);
    });
  }
  assert.deepEqual(rowsOf(batches), [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15], [
    16,
    17,
    18,
    19,
    20,
  ]]);
});

Deno.test("fill, truncation and the report line are exact", () => {
  const rows = [3, 10, 5, 4].map((length) => ({ inputIds: new Array(length).fill(7) }));
  const batches = padBatches(rows, { batchSize: 2, maxLength: 8 });
  assert.deepEqual([batches.tokens, batches.truncated, batches.dropped, batches.fill], [20, 1, 0, 20 / 26]);
  assert.equal(
    String(batches),
    "the rows: 4 rows in 2 batches of 2, 20 tokens; padded to the longest: 76.9 % full; 1 row cut at 8 tokens",
  );
  const packed = packBatches(new Dataset<Row>(rows, "r.jsonl"), { batchSize: 4, maxLength: 8 });
  assert.deepEqual([packed.fill, packed.paddedFill], [20 / 64, 20 / 32]);
  assert.equal(
    String(packed),
    "r.jsonl: 4 rows in 1 batch of 4, 20 tokens; packed 31.3 % full (padded to the longest: 62.5 %); 1 row cut at 8 tokens",
  );
  assert.deepEqual(packed.examples.slice(0).map((example) => example.inputIds.length), [3, 8, 5, 4]);
});

const QA = new Dataset<Row>([
  { instruction: "What is a bond?", output: "A loan." },
  { instruction: "What is the interest of a loan of $1,000 at 5% for 2 years?", output: "$100." },
  { instruction: "Why?", output: "x".repeat(300) },
], "qa.jsonl");
/** Runs with console.warn caught. */
function warned<T>(run: () => T): [T, string[]] {
  const [warn, lines] = [console.warn, [] as string[]];
  console.warn = (line: string) => lines.push(line);
  try {
    return [run(), lines];
  } finally {
    console.warn = warn;
  }
}

Deno.test("rows without a trained token in the window are left out, counted and reported", () => {
  const options: BatchOptions = { tokenizer: tiny, prompt: financeQA, maxLength: 30, completionOnly: true };
  const [batches, lines] = warned(() => packBatches(QA, options));
  assert.deepEqual([batches.rows, batches.dropped, batches.truncated], [2, 1, 1]);
  assert.deepEqual(rowsOf(batches), [[0, 2]]);
  assert.deepEqual(lines, ["qa.jsonl: 1 of 3 rows left out: no trained token within maxLength 30."]);
  assert.match(String(batches), /; 1 row cut at 30 tokens; 1 row left out: no trained token within 30$/);
  assert.throws(
    () => packBatches(QA, { ...options, maxLength: 5 }),
    /no row has a trained token within maxLength 5/,
  );
  const [whole, none] = warned(() => packBatches(QA, { ...options, completionOnly: false }));
  assert.deepEqual([whole.rows, whole.dropped, whole.truncated, none.length], [3, 0, 2, 0]);
  const last = whole.examples.slice(0).map((example) => example.inputIds.at(-1));
  assert.equal(last[0], tiny.eosId);
  assert.notEqual(last[2], tiny.eosId);
});

Deno.test("batches tell whether answers alone are trained, where that was decided for them", () => {
  const options: BatchOptions = { tokenizer: tiny, prompt: financeQA };
  assert.equal(packBatches(QA, options).completionOnly, false);
  assert.equal(packBatches(QA, { ...options, completionOnly: true }).shuffle(1).completionOnly, true);
  assert.equal(padBatches(ROWS, { completionOnly: true }).completionOnly, undefined);
  assert.equal(packBatches(QA, { ...options, decoderStartTokenId: 0 }).completionOnly, undefined);
});

Deno.test("packBatches: what is missing or wrong is said in a sentence", () => {
  const { eosId: _, ...endless } = tiny;
  const cases: [Iterable<Row>, BatchOptions, RegExp][] = [
    [new Dataset<Row>([], "empty.csv"), {}, /empty\.csv has no rows/],
    [QA, { prompt: financeQA }, /qa\.jsonl, row 0: text needs a tokenizer/],
    [[{ headline: "x" }], { tokenizer: tiny }, /the rows, row 0: no shape that is known \(it has headline/],
    [QA, { tokenizer: endless as Tokenizer, prompt: financeQA }, /names no eos_token/],
    [
      QA,
      { tokenizer: tiny, prompt: financeQA, maxLength: 1 },
      /maxLength is 1: give a whole number of at least 2/,
    ],
    [QA, { tokenizer: tiny, prompt: financeQA, batchSize: 0 }, /batchSize is 0/],
    [
      QA.concat([{ instruction: "no answer" }]),
      { tokenizer: tiny, prompt: financeQA },
      /qa\.jsonl, row 3: no field "output"/,
    ],
    [[{ inputIds: [1, 2] }, { inputIds: [1, "x"] }], {}, /the rows, row 1: inputIds\[1\] is x/],
    [[{ inputIds: [1, 2], labels: [-100, -100] }], {}, /no row has a trained token/],
    [[{ messages: [{ role: "user", content: "Hi" }] }], {
      tokenizer: tiny,
      prompt: chat(tiny),
      completionOnly: true,
    }, /row 0: its messages hold no answer/],
  ];
  for (const [rows, options, message] of cases) {
    assert.throws(() => packBatches(rows, options), (error: Error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("rows from a generator and from a stream make the same batches as a list, and rows over many blocks keep their numbers", async () => {
  const rows = Array.from({ length: 5000 }, (_, n) => ({ inputIds: [1, n, 70_000 * (n % 7), 2] }));
  async function* stream() {
    for (const row of rows) yield await Promise.resolve(row);
  }
  const list = packBatches(rows);
  for (const lazy of [packBatches(rows.values()), await packBatches(stream())]) {
    assert.deepEqual([...lazy].map(plain), [...list].map(plain));
  }
  assert.deepEqual(rowsOf(list).flat(), [...rows.keys()]);
  assert.deepEqual([...list.examples.at(4999).inputIds], [1, 4999, 70_000 * (4999 % 7), 2]);
  assert.deepEqual(list.examples.slice(2047, 2049).map((example) => example.row), [2047, 2048]);
  const shuffled = list.shuffle(3);
  assert.deepEqual(
    [...shuffled.examples].map((e) => e.inputIds[1]),
    [...shuffled.examples].map((e) => e.row),
  );
  const padded = await padBatches(stream(), { batchSize: 3 });
  assert.deepEqual([padded.layout, padded.length], ["padded", 1667]);
  await assert.rejects(packBatches((async function* () {})()), /the rows has no rows/);
  await assert.rejects(
    packBatches((async function* () {
      yield await Promise.resolve({ inputIds: [] });
    })()),
    /the rows, row 0: inputIds should be a list/,
  );
});

Deno.test("labels of their own are kept, and so is a label on the first token", () => {
  const rows = [{ inputIds: [5, 6, 7], labels: [5, -100, 9] }, { inputIds: [5, 6], labels: [-100, 6] }];
  const kept = [...packBatches(rows).examples].map((example) => [...example.labels]);
  assert.deepEqual(kept, [[5, -100, 9], [-100, 6]]);
  const masked = [{ inputIds: [5, 6, 7], labels: [5, -100, 7] }, rows[1]];
  assert.deepEqual([...packBatches(masked).examples].map((example) => [...example.labels]), [[5, -100, 7], [
    -100,
    6,
  ]]);
});

Deno.test("tokens take two bytes and a bit each, four where an id needs more", () => {
  const builder = blockBuilder(512);
  for (let row = 0; row < 100; row++) builder.add(new Array(400).fill(65_535), new Array(400).fill(65_535));
  const { ids, labels } = builder.finish();
  assert.deepEqual([ids.byteLength, labels.byteLength], [80_000, 5_000]);
  builder.add([65_536, 7], [-100, 7]);
  assert.equal(builder.finish().ids.byteLength, 4 * 40_002);
});
