// Every real file loads with the rows and fields that pandas and Python's json read (tests/reference/data_files.py).

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { loadDataset } from "../../lib/data/load.ts";
import { referenceFolder } from "../references.ts";

const SHARED = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
type Seen = Record<string, { rows: number; fields: string[]; sha256: string }>;
const seen: Seen = JSON.parse(await Deno.readTextFile(`${referenceFolder("data_files")}/shared.json`));

for (const [name, expected] of Object.entries(seen)) {
  Deno.test(`${name}: ${expected.rows} rows, every value as Python reads it`, async () => {
    const rows = await loadDataset(`${SHARED}/data/${name}`);
    assert.equal(rows.length, expected.rows);
    assert.deepEqual([...new Set(rows.toArray().flatMap((row) => Object.keys(row)))], expected.fields);
    const hash = createHash("sha256");
    for (const row of rows) hash.update(JSON.stringify(row) + "\n");
    assert.equal(hash.digest("hex"), expected.sha256);
  });
}

Deno.test("the files in shared/data are those that were seen", async () => {
  const files = await Array.fromAsync(
    Deno.readDir(`${SHARED}/data`),
    async ({ name }) =>
      (await Array.fromAsync(Deno.readDir(`${SHARED}/data/${name}`))).map((file) => `${name}/${file.name}`),
  );
  assert.deepEqual(files.flat().sort(), Object.keys(seen).sort());
});
