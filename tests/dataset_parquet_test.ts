// Parquet against pyarrow: every codec and type; damage and bombs are one sentence, never a crash.

import assert from "node:assert/strict";
import { loadDataset, type LoadOptions, streamDataset } from "../lib/data/load.ts";
import { seededRandom } from "../lib/data/random.ts";
import { UserError } from "../lib/errors.ts";
import { referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

const reference = referenceFolder("data_files");
const expected: Record<string, unknown>[] = JSON.parse(await Deno.readTextFile(`${reference}/rows.json`));
const FILES = ["none", "snappy", "gzip", "brotli", "zstd", "lz4", "v2"];

Deno.test("parquet: every codec gives pyarrow's rows: nested, null, dictionary, decimal, time", async () => {
  for (const name of FILES) {
    const rows = (await loadDataset(`${reference}/${name}.parquet`)).toArray();
    assert.deepEqual(rows, expected, name);
  }
  const fields = ["id", "large", "text", "label"];
  assert.deepEqual(
    (await loadDataset(`${reference}/delta.parquet`)).toArray(),
    expected.map((row) => Object.fromEntries(fields.map((field) => [field, row[field]]))),
  );
});

Deno.test("parquet: a stream reads row groups as they are asked for", async () => {
  const rows = streamDataset(`${reference}/zstd.parquet`);
  const trusted = streamDataset(`${reference}/bomb.parquet`, { maxExpansion: 1e6 }).take(1);
  assert.deepEqual((await trusted.collect()).toArray(), [{ n: 7 }]);
  assert.deepEqual((await rows.skip(14).take(4).collect()).map((row) => row.id).toArray(), [14, 15, 16, 17]);
});

Deno.test("parquet: in gzip, with the wrong ending, of no rows", async () => {
  const folder = await Deno.makeTempDir();
  const bytes = await Deno.readFile(`${reference}/snappy.parquet`);
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  await Deno.writeFile(`${folder}/rows.parquet.gz`, packed);
  await Deno.writeFile(`${folder}/rows.bin`, bytes);
  assert.deepEqual((await loadDataset(`${folder}/rows.parquet.gz`)).toArray(), expected);
  assert.equal((await loadDataset(`${folder}/rows.bin`, { format: "parquet" })).length, 40);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("parquet: the older name of LZ4, without Hadoop's frames", async () => {
  const bytes = await Deno.readFile(`${reference}/lz4.parquet`);
  const footer = bytes.length - 8 - new DataView(bytes.buffer).getUint32(bytes.length - 8, true);
  let changed = 0;
  for (let i = footer; i < bytes.length - 8; i++) { // a column's codec, as thrift writes it: field 4, LZ4_RAW to LZ4
    if (bytes[i] === 0x15 && bytes[i + 1] === 14 && bytes[i + 2] === 0x16) {
      [bytes[i + 1], changed] = [10, changed + 1];
    }
  }
  assert.ok(changed >= 60, `${changed}`);
  const path = await Deno.makeTempFile({ suffix: ".parquet" });
  await Deno.writeFile(path, bytes);
  assert.deepEqual((await loadDataset(path)).toArray(), expected);
  await Deno.remove(path);
});

Deno.test("parquet: damaged files are one sentence", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/x.parquet`;
  const whole = await Deno.readFile(`${reference}/none.parquet`);
  const cases: [string, Uint8Array, RegExp, LoadOptions?][] = [
    ["empty", new Uint8Array(), /x\.parquet is damaged or no Parquet: it is too short\.$/],
    ["text", new TextEncoder().encode("this is no Parquet file at all"), /footer != PAR1/],
    ["cut", whole.subarray(0, 5000), /x\.parquet is damaged or no Parquet/],
    ["no data", concat(whole.subarray(0, 4), whole.subarray(9000)), /row group \d, column "\w+" is damaged/],
    [
      "bomb",
      await Deno.readFile(`${reference}/bomb.parquet`),
      /x\.parquet unpacks to more than 1000 times its size/,
    ],
    ["size", whole, /holds more than 1 kB: read it in pieces with streamDataset/, { maxBytes: 1000 }],
  ];
  for (const [what, bytes, pattern, options] of cases) {
    await Deno.writeFile(path, bytes);
    await refused(what, () => loadDataset(path, options), pattern);
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("parquet: 160 mutated files give rows or a sentence in little memory", async () => {
  const folder = await Deno.makeTempDir();
  const random = seededRandom(7);
  const path = `${folder}/x.parquet`;
  const outcomes = { rows: 0, refused: 0 };
  const names = [...FILES, "delta"];
  for (let i = 0; i < 160; i++) {
    const bytes = await Deno.readFile(`${reference}/${names[i % names.length]}.parquet`);
    for (let edits = 1 + Math.floor(random() * 3); edits > 0; edits--) {
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    }
    await Deno.writeFile(path, bytes);
    const start = performance.now();
    try {
      await loadDataset(path);
      outcomes.rows++;
    } catch (error) {
      assert.ok(error instanceof UserError, `mutation ${i}: ${(error as Error).stack}`);
      assert.match(error.message, /^[^\n]{10,400}\.$/, `mutation ${i}`);
      outcomes.refused++;
    }
    const ms = performance.now() - start;
    assert.ok(ms < 20_000, `mutation ${i} took ${ms} ms`);
  }
  assert.ok(outcomes.rows > 40 && outcomes.refused > 40, JSON.stringify(outcomes));
  const { rss } = Deno.memoryUsage();
  assert.ok(rss < 1.5e9, `${rss} bytes`);
  await Deno.remove(folder, { recursive: true });
});

function concat(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
