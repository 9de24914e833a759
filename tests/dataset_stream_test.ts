// Streams: the same results as a Dataset, files closed, memory flat however large the file is.

import assert from "node:assert/strict";
import { Dataset } from "../lib/data/dataset.ts";
import { loadDataset, streamDataset } from "../lib/data/load.ts";
import { seenTexts } from "../lib/data/seen.ts";
import { RowStream } from "../lib/data/stream.ts";
import { UserError } from "../lib/errors.ts";
import { refused } from "./refused.ts";

const folder = await Deno.makeTempDir();
const ROWS = Array.from(
  { length: 5000 },
  (_, n) => ({ n, q: `question ${n % 700} ${"and ".repeat(15)}`, deep: [{ n }] }),
);
const whole = new Dataset(ROWS, "rows.jsonl");
await whole.save(`${folder}/rows.jsonl`);
const stream = streamDataset(`${folder}/rows.jsonl`);

Deno.test("stream: each operation gives what a dataset's gives, each time anew", async () => {
  const same = async (changed: RowStream<unknown>, expected: Dataset<unknown>) => {
    for (const _ of [1, 2]) assert.deepEqual((await changed.collect()).toArray(), expected.toArray());
  };
  await same(stream, whole);
  await same(stream.map((row, i) => row.n - i), whole.map((row, i) => row.n - i));
  await same(stream.map((row) => Promise.resolve(row.n)), whole.map((row) => row.n));
  const odd = (row: { n?: number }, i: number) => (row.n! + i) % 3 === 1;
  await same(stream.filter(odd).filter(odd), whole.filter(odd).filter(odd));
  await same(stream.dedupe("q"), whole.dedupe("q"));
  await same(stream.dedupe((row) => [row.n % 10]), whole.dedupe((row) => [row.n % 10]));
  for (const count of [0, 1, 1023, 1024, 4999, 5000, 6000]) {
    await same(stream.take(count), whole.take(count));
    await same(stream.skip(count), whole.skip(count));
  }
  await same(
    stream.take(2).concat(stream.skip(4998), ROWS.slice(0, 2)),
    whole.take(2).concat(whole.skip(4998), ROWS.slice(0, 2)),
  );
  await same(RowStream.from(ROWS), whole);
  assert.deepEqual(await Array.fromAsync(stream.take(3)), ROWS.slice(0, 3));
  async function* generated() {
    for (const row of ROWS.slice(0, 3)) yield await Promise.resolve(row);
  }
  assert.equal((await RowStream.from(generated()).collect()).length, 3);
});

Deno.test("stream: shuffle loses no row, depends on the seed alone, and with room for all is spread evenly", async () => {
  const order = async (seed: number, buffer?: number) =>
    (await stream.map((row) => row.n).shuffle(seed, buffer).collect()).toArray();
  const [one, again, other] = [await order(1, 100), await order(1, 100), await order(2, 100)];
  assert.deepEqual(one, again);
  assert.notDeepEqual(one, other);
  assert.deepEqual(one.toSorted((a, b) => a - b), ROWS.map((row) => row.n));
  assert.ok(one.slice(0, 100).every((n) => n < 200));
  const full = await order(3);
  const mean = full.slice(0, 2500).reduce((sum, n) => sum + n, 0) / 2500;
  assert.ok(Math.abs(mean - 2499.5) < 4 * 5000 / Math.sqrt(12 * 2500 * 2), `mean ${mean}`);
});

Deno.test("stream: leaving early closes the file; the test's own check of open files says so", async () => {
  for await (const row of stream) if (row.n === 1500) break;
  await streamDataset(`${folder}/rows.jsonl`).take(1).collect();
  await assert.rejects(
    stream.map(() => {
      throw new UserError("bad.");
    }).collect(),
    /^UserError: rows\.jsonl, row 0: bad\.$/,
  );
});

Deno.test("stream: saved in every format, whole or not at all", async () => {
  const flat = stream.map(({ n, q }) => ({ n, q }));
  for (const ending of ["jsonl", "json", "csv", "tsv", "jsonl.gz", "csv.gz"]) {
    const path = `${folder}/saved.${ending}`;
    assert.equal(await flat.save(path), 5000);
    const back = (await loadDataset(path)).map((row) => ({ n: Number(row.n), q: row.q }));
    assert.deepEqual(back.toArray(), ROWS.map(({ n, q }) => ({ n, q })), ending);
    await refused(ending, () => flat.save(path), /exists already/);
    assert.equal((await streamDataset(path).take(1).collect()).length, 1);
  }
  const failing = flat.map((row) => {
    if (row.n === 4000) throw new UserError("bad.");
    return row;
  });
  await refused("a failing map", () => failing.save(`${folder}/half.jsonl`), /rows\.jsonl, row 4000: bad/);
  await refused(
    "a late column",
    () => flat.map((row) => (row.n < 4500 ? row : { ...row, more: 1 })).save(`${folder}/half.csv`),
    /half\.csv, row 4500, field "more": no such column was seen in the first rows; name all columns/,
  );
  await refused(
    "bigint",
    () => RowStream.from([{ a: 1n }]).save(`${folder}/half.json`),
    /row 0 cannot be written as JSON/,
  );
  await refused(
    "nothing",
    () => flat.map(() => undefined).save(`${folder}/half.json`),
    /row 0 is undefined, which JSON/,
  );
  const names = Array.from(Deno.readDirSync(folder), (entry) => entry.name);
  assert.deepEqual(names.filter((name) => /half|tmp/.test(name)), []);
  const named = RowStream.from([{ b: 1 }, { a: 2, b: 3 }]);
  await named.save(`${folder}/named.csv`, { columns: ["a", "b"] });
  assert.equal(await Deno.readTextFile(`${folder}/named.csv`), "a,b\n,1\n2,3\n");
  await refused("bufferSize", () => Promise.resolve(stream.shuffle(1, 0)), /bufferSize is 0/);
  await refused("take", () => Promise.resolve(stream.take(-1)), /take\(-1\)/);
});

Deno.test("seen texts: exact over 60,000 texts, whatever the table's size was", () => {
  const fresh = seenTexts(8);
  let count = 0;
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 30_000; i++) if (fresh(`text ${i}`)) count++;
  }
  assert.equal(count, 30_000);
});

Deno.test("stream: 60 MB of JSONL are mapped, filtered, de-duplicated and saved in a heap of 40 MB", async () => {
  const run = new Deno.Command(Deno.execPath(), {
    args: [
      ..."run -A --no-check --v8-flags=--max-old-space-size=40 tests/stream_memory.ts".split(" "),
      ..."--megabytes 60 --format jsonl".split(" "),
    ],
    env: { NO_COLOR: "1" },
  });
  const { stdout, stderr, code } = await run.output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  const { fileBytes, peakBytes, written } = JSON.parse(new TextDecoder().decode(stdout));
  assert.ok(fileBytes > 55e6 && written > 90_000, `${fileBytes} ${written}`);
  assert.ok(peakBytes < 220e6, `peak ${peakBytes}`); // the runtime alone takes some 90 MB; test:stream has larger files
});

Deno.test("filter: a function that gives promises would keep every row, and is refused", async () => {
  const keep = (() => Promise.resolve(false)) as unknown as () => boolean;
  await refused("a dataset", () => new Dataset([{ a: 1 }]).filter(keep), /row 0: .*gives a promise/);
  await refused(
    "a stream",
    () => RowStream.from([{ a: 1 }]).filter(keep).collect(),
    /row 0: .*gives a promise/,
  );
  await refused(
    "split()",
    () => (new Dataset([{ a: 1 }]).split as () => unknown)(),
    /split needs options with test/,
  );
});
