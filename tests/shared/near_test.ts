// Near-duplicates and shared word runs of real rows against brute force over exact sets (tests/reference/near.py).

import assert from "node:assert/strict";
import { Dataset } from "../../lib/data/dataset.ts";
import { decontaminate } from "../../lib/data/decontaminate.ts";
import { loadDataset } from "../../lib/data/load.ts";
import { nearDuplicates } from "../../lib/data/near.ts";
import type { Row } from "../../lib/data/row.ts";

const SHARED = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
const reference = JSON.parse(
  await Deno.readTextFile(new URL("../reference/near/pairs.json", import.meta.url)),
);
const qa = await loadDataset(`${SHARED}/data/finance_alpaca/fin_qa_prompt_completion.json`);
const tenK = await loadDataset(`${SHARED}/data/financial_qa_10k/Financial-QA-10k.csv`);
const sources: [string, Dataset<Row>, (row: Row) => string][] = [
  ["fin_qa", qa.take(1500), (row) => `${row.prompt}\n${row.completion}`],
  ["ten_k", tenK.take(1500), (row) => row.context],
];

for (const [name, rows, key] of sources) {
  Deno.test(`${name}: every pair found among 1,500 rows is a pair, with its similarity; none is missed`, () => {
    for (const threshold of [0.8, 0.5]) {
      const { pairs, datasketch } = reference[name][threshold];
      const exact = new Map(pairs.map(([i, j, s]: number[]) => [`${i} ${j}`, s]));
      const found = nearDuplicates(rows, { key, threshold });
      for (const { first, second, similarity } of found) {
        assert.equal(similarity, exact.get(`${first} ${second}`), `${first} ${second}`);
      }
      const recall = found.length / pairs.length;
      console.log(
        `${name}, ${threshold}: ${found.length} of ${pairs.length} pairs, datasketch ${datasketch}`,
      );
      assert.ok(recall >= 0.98, `recall ${recall}`);
      assert.ok(found.length >= datasketch);
    }
  });

  Deno.test(`${name}: the pairs of 200 held-out and 1,300 other rows that share 13 words are brute force's`, () => {
    const [test, train] = [rows.take(200), rows.skip(200)];
    const { overlaps } = decontaminate(train, test, { key });
    const shared = overlaps.filter((pair) => pair.overlap > 0).map((
      pair,
    ) => [pair.train, pair.test, pair.overlap]);
    assert.deepEqual(
      shared,
      reference[name].shared.sort((a: number[], b: number[]) => a[0] - b[0] || a[1] - b[1]),
    );
  });
}
