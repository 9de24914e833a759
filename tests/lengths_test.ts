// The length report on rows whose lengths are known.

import assert from "node:assert/strict";
import { lengthReport } from "../lib/data/lengths.ts";
import { packBatches, padBatches } from "../lib/data/pack.ts";
import { UserError } from "../lib/errors.ts";

const rowsOf = (lengths: number[]) => lengths.map((length) => ({ inputIds: new Array(length).fill(7) }));

Deno.test("lengths: percentiles as numpy's, and the share of rows that stay whole", () => {
  // numpy.percentile([10, 20, ..., 1000], [50, 90, 95, 99])
  const report = lengthReport(rowsOf(Array.from({ length: 100 }, (_, i) => 10 * (100 - i))));
  assert.deepEqual([report.rows, report.tokens, report.mean, report.max], [100, 50_500, 505, 1000]);
  for (
    const [value, expected] of [[report.p50, 505], [report.p90, 901], [report.p95, 950.5], [
      report.p99,
      990.1,
    ]]
  ) {
    assert.ok(Math.abs(value - expected) < 1e-9, `${value} ${expected}`);
  }
  assert.deepEqual(report.limits.map((limit) => [limit.maxLength, limit.whole]), [
    [128, 0.12],
    [256, 0.25],
    [512, 0.51],
    [1024, 1],
    [2048, 1],
  ]);
  assert.deepEqual(lengthReport(rowsOf([5000])).limits.at(-1)?.maxLength, 8192);
  assert.deepEqual(lengthReport(rowsOf([5])).p99, 5);
});

Deno.test("lengths: what is wasted is what batches of that maxLength waste", () => {
  const rows = rowsOf([3, 100, 250, 40, 64, 90, 300]);
  const report = lengthReport(rows, { maxLengths: [64, 256], batchSize: 3 });
  for (const limit of report.limits) {
    const options = { maxLength: limit.maxLength, batchSize: 3 };
    assert.equal(1 - limit.packedWaste, packBatches(rows, options).fill);
    assert.equal(1 - limit.paddedWaste, padBatches(rows, options).fill);
    assert.equal(limit.tokensKept, packBatches(rows, options).tokens / 847);
  }
  assert.equal(report.limits[0].fullWaste, 1 - (3 + 64 + 64 + 40 + 64 + 64 + 64) / (7 * 64));
});

Deno.test("lengths: rows whose answer is cut away are counted as packBatches leaves them out", async () => {
  const rows = [
    { inputIds: [1, 2, 3, 4, 5], labels: [-100, -100, -100, 4, 5] },
    { inputIds: [1, 2], labels: [-100, 2] },
    { inputIds: [1, 2], labels: [1, -100] },
  ];
  async function* stream() {
    for (const row of rows) yield await Promise.resolve(row);
  }
  const report = await lengthReport(stream(), { maxLengths: [3, 4] });
  assert.deepEqual([report.rows, report.untrained], [2, 1]);
  assert.deepEqual(report.limits.map((limit) => [limit.dropped, limit.whole]), [[1, 0.5], [0, 0.5]]);
  assert.equal(
    String(report),
    [
      "the rows: 2 rows, 7 tokens; mean 3.5, 50 % up to 3.5, 90 % 4.7, 95 % 4.9, 99 % 5, longest 5; 1 rows with nothing to train left out",
      "Positions wasted in batches of 8:",
      "| maxLength | rows whole | tokens kept | rows left out | wasted packed | padded to the longest | padded to maxLength |",
      "| --------: | ---------- | ----------- | ------------: | ------------- | --------------------- | ------------------- |",
      "|         3 | 50.0 %     | 28.6 %      |             1 | 96.9 %        | 0.0 %                 | 33.3 %              |",
      "|         4 | 50.0 %     | 85.7 %      |             0 | 90.6 %        | 25.0 %                | 25.0 %              |",
    ].join("\n"),
  );
});

Deno.test("lengths: nothing to measure, or a limit that is none", () => {
  assert.throws(() => lengthReport([]), UserError);
  assert.throws(
    () => lengthReport([{ inputIds: [1, 2], labels: [1, -100] }]),
    /no row in which anything is trained/,
  );
  assert.throws(() => lengthReport(rowsOf([3]), { maxLengths: [1] }), /maxLengths holds 1/);
});

Deno.test("a batch size that cannot be is refused, and does not run for ever", () => {
  for (const batchSize of [0, -1, 1.5]) {
    assert.throws(() => lengthReport([{ inputIds: [1, 2] }], { batchSize }), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /^batchSize is -?[\d.]+: give a whole number of at least 1\.$/);
      return true;
    });
  }
});
