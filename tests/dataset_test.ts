// Loading, changing and saving rows; seeded random numbers; every bad input as one sentence that names its place.

import assert from "node:assert/strict";
import { Dataset } from "../lib/data/dataset.ts";
import { loadDataset, type LoadOptions } from "../lib/data/load.ts";
import { permutation, seededRandom } from "../lib/data/random.ts";
import { UserError } from "../lib/errors.ts";

const folder = await Deno.makeTempDir();
/** Writes a file into the tests' folder and gives its path. */
async function file(name: string, content: string | Uint8Array): Promise<string> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  await Deno.writeFile(`${folder}/${name}`, bytes);
  return `${folder}/${name}`;
}
const load = async (name: string, content: string | Uint8Array, options?: LoadOptions) =>
  await loadDataset(await file(name, content), options);

/** The promise is refused with a UserError of exactly one sentence that matches. */
async function refused(promise: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error: Error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, message);
    return true;
  });
}

Deno.test("dataset: the same rows from JSON, an object holding a list, JSONL and CSV", async () => {
  const expected = [{ q: "What is a bond?", a: 'A "loan",\nin short' }, { q: "naïve 日本", a: "" }];
  const lines = expected.map((row) => JSON.stringify(row));
  assert.deepEqual((await load("a.json", JSON.stringify(expected))).toArray(), expected);
  assert.deepEqual(
    (await load("b.json", JSON.stringify({ version: 1, data: expected }))).toArray(),
    expected,
  );
  assert.deepEqual((await load("c.json", lines.join("\n"))).toArray(), expected);
  assert.deepEqual((await load("d.jsonl", "\ufeff" + lines.join("\r\n\n") + "\n\n")).toArray(), expected);
  assert.deepEqual(
    (await load("e.csv", '\ufeffq,a\r\n"What is a bond?","A ""loan"",\nin short"\r\nnaïve 日本,\r\n\r\n'))
      .toArray(),
    expected,
  );
  assert.deepEqual((await load("f.tsv", "q\ta\n1,5\tx\n")).toArray(), [{ q: "1,5", a: "x" }]);
  assert.deepEqual((await load("g.csv", "q;a\n1;2\n", { delimiter: ";" })).toArray(), [{ q: "1", a: "2" }]);
  assert.deepEqual(
    (await load("h.json", '{"train": [{"a": 1}], "test": [{"a": 2}]}', { field: "test" })).toArray(),
    [{ a: 2 }],
  );
  const latin = Uint8Array.from([...new TextEncoder().encode("label,news\nneutral,caf"), 0xe9, 10]);
  assert.equal((await load("i.csv", latin, { encoding: "latin1" })).at(0).news, "café");
  assert.equal((await load("i.csv", latin)).at(0).news, "café");
});

Deno.test("dataset: a folder is its files in the order of their names", async () => {
  const inner = `${folder}/parts`;
  await Deno.mkdir(inner);
  await file("parts/2.csv", "n\nthree\n");
  await file("parts/1.jsonl", '{"n":"one"}\n{"n":"two"}');
  await file("parts/README.md", "not rows");
  const rows = await loadDataset(inner);
  assert.deepEqual(rows.map((row) => row.n).toArray(), ["one", "two", "three"]);
  assert.equal(String(rows), "parts: 3 rows (n)");
});

Deno.test("dataset: bad files are refused by file, line and field", async () => {
  const cases: [string, string | Uint8Array, RegExp, LoadOptions?][] = [
    ["x.jsonl", '{"a":1}\n\n{"a":\n', /x\.jsonl, line 3 is not valid JSON/],
    ["x.jsonl", '{"a":1}\n[1]\n', /x\.jsonl, line 2 is \[1\], not an object/],
    ["x.jsonl", "\n \n", /x\.jsonl holds no rows/],
    ["x.jsonl", Uint8Array.from([123, 125, 10, 0xff, 10]), /x\.jsonl, line 2 is not utf-8 text/],
    ["x.json", '[{"a":1}, 2]', /x\.json, row 1 is 2, not an object/],
    ["x.json", '[{"a":1},', /x\.json is not valid JSON/],
    ["x.json", "7", /neither a list of rows nor an object with one/],
    ["x.json", '{"a":[],"b":[]}', /several lists: say which one with \{ field \} \("a", "b"\)/],
    ["x.json", '{"a":[]}', /has no list "c"; its lists: "a"/, { field: "c" }],
    ["x.json", "[]", /x\.json holds no rows/],
    ["x.csv", "a,b\n1,2\n3\n", /x\.csv, line 3: 1 fields where the header has 2/],
    ["x.csv", "a,b\n1,2,3\n", /x\.csv, line 2: 3 fields where the header has 2/],
    ["x.csv", 'a,b\n"1,2\n3,4\n', /x\.csv, line 2: a quote is opened and never closed/],
    ["x.csv", "a,a\n1,2\n", /names the column "a" twice/],
    ["x.csv", "a,\n1,2\n", /column 2 has no name/],
    ["x.csv", "", /x\.csv is empty/],
    ["x.csv", "a,b\n", /x\.csv holds no rows/],
    [
      "x.csv",
      Uint8Array.from([97, 10, 0xc3, 0xa9, 10, 0xe9, 10]),
      /x\.csv, line 3 is not utf-8 text: .*latin1/,
    ],
    [
      "x.json",
      Uint8Array.from([0x5b, 0x22, 0xe9, 0x22, 0x5d]),
      /x\.json, line 1 is not utf-8 text: .*latin1/,
    ],
    ["x.csv", "a\n1\n", /encoding "klingon" is not known/, { encoding: "klingon" }],
    ["x.arrow", "ARROW1", /the ending says nothing that can be read .*to_parquet/],
  ];
  for (const [name, content, message, options] of cases) await refused(load(name, content, options), message);
  await refused(loadDataset("no/such/folder"), /no\/such\/folder is neither a file nor a folder/);
  await refused(loadDataset(`${folder}/none.jsonl`), /none\.jsonl is neither a file nor a folder/);
  await refused(loadDataset(await Deno.makeTempDir()), /holds no \.json, \.jsonl/);
});

const LETTERS = new Dataset([..."abcdefghij"].map((letter, n) => ({ letter, n })), "letters");
const text = (rows: Iterable<{ letter: string }>) => [...rows].map((row) => row.letter).join("");

Deno.test("dataset: every operation gives a new dataset and leaves the old one", () => {
  assert.equal(text(LETTERS.take(3)), "abc");
  assert.equal(text(LETTERS.skip(7)), "hij");
  assert.equal(text(LETTERS.take(99).skip(99)), "");
  assert.equal(text(LETTERS.filter((row) => row.n % 3 === 0)), "adgj");
  assert.equal(text(LETTERS.select([9, 0, -2])), "jai");
  assert.equal(text(LETTERS.take(2).concat(LETTERS.skip(8), [{ letter: "z", n: 26 }])), "abijz");
  assert.deepEqual(LETTERS.map((row) => row.n).toArray(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual([LETTERS.at(0).letter, LETTERS.at(-1).letter], ["a", "j"]);
  assert.equal(text(LETTERS), "abcdefghij");
  const array = LETTERS.toArray();
  array.length = 0;
  assert.equal(LETTERS.length, 10);
});

Deno.test("dataset: dedupe keeps the first of each, text 1 and number 1 are two", () => {
  const rows = new Dataset<{ k: unknown; n: number }>(
    [1, "1", 1, "x", [1], [1], "x", null].map((k, n) => ({ k, n })),
  );
  assert.deepEqual(rows.dedupe("k").map((row) => row.n).toArray(), [0, 1, 3, 4, 7]);
  assert.equal(text(LETTERS.dedupe((row) => row.n % 4)), "abcd");
  const rowsWithout = new Dataset<Record<string, unknown>>([{ a: 1 }, { b: 1 }], "r.jsonl");
  assert.throws(() => rowsWithout.dedupe("a"), {
    name: "UserError",
    message: 'r.jsonl, row 1: no field "a".',
  });
});

Deno.test("dataset: shuffle and split are decided by the seed alone and lose no row", () => {
  assert.equal(text(LETTERS.shuffle(1)), text(LETTERS.shuffle(1)));
  assert.notEqual(text(LETTERS.shuffle(1)), text(LETTERS.shuffle(2)));
  assert.equal([...text(LETTERS.shuffle(3))].sort().join(""), "abcdefghij");
  for (const [test, size] of [[3, 3], [0.25, 3], [0.3, 3], [9, 9]]) {
    const parts = LETTERS.split({ test, seed: 42 });
    assert.deepEqual([parts.test.length, parts.train.length], [size, 10 - size]);
    assert.equal([...text(parts.test) + text(parts.train)].sort().join(""), "abcdefghij");
  }
  assert.equal(text(LETTERS.split({ test: 3 }).test), text(LETTERS.split({ test: 3, seed: 42 }).test));
  for (const test of [0, 10, 11, -1, 1.5, NaN]) {
    assert.throws(() => LETTERS.split({ test }), /leaves one part empty/);
  }
});

Deno.test("dataset: wrong indices and counts are refused", () => {
  assert.throws(() => LETTERS.at(10), /letters has 10 rows: there is no row 10/);
  assert.throws(() => LETTERS.select([3, 11]), /no row 11/);
  assert.throws(() => LETTERS.take(-1), /take\(-1\)/);
  assert.throws(() =>
    LETTERS.map(() => {
      throw new UserError("bad.");
    }), /^UserError: letters, row 0: bad\.$/);
});

Deno.test("dataset: saved rows load as they were; nothing is overwritten unasked", async () => {
  const rows = new Dataset([{ q: 'a "b", c', n: "1" }, { q: " x\r\ny ", n: "" }, { q: "ü,;", n: "-100" }]);
  for (
    const name of ["saved.jsonl", "saved.json", "saved.csv", "saved.tsv", "saved.csv.gz", "saved.JSONL.GZ"]
  ) {
    await rows.save(`${folder}/${name}`);
    assert.deepEqual((await loadDataset(`${folder}/${name}`)).toArray(), rows.toArray(), name);
    await refused(rows.save(`${folder}/${name}`), /exists already/);
    await rows.take(1).save(`${folder}/${name}`, { overwrite: true });
    assert.equal((await loadDataset(`${folder}/${name}`)).length, 1);
  }
  const many = new Dataset(Array.from({ length: 9001 }, (_, n) => ({ n })));
  await many.save(`${folder}/many.jsonl`);
  assert.deepEqual((await loadDataset(`${folder}/many.jsonl`)).at(-1), { n: 9000 });
  await refused(rows.save(`${folder}/saved.txt`), /saved as \.jsonl, \.json, \.csv or \.tsv/);
  await refused(new Dataset([{ a: [1] }]).save(`${folder}/list.csv`), /row 0, field "a": CSV cannot hold/);
});

Deno.test("random: fixed numbers for a seed, even spread, fair permutations", () => {
  const random = seededRandom(42);
  assert.deepEqual([random(), random(), random()].map((x) => x * 2 ** 32), FIRST_OF_42);
  assert.notEqual(seededRandom(1)(), seededRandom(2 ** 32 + 1)());
  const draws = Array.from({ length: 20_000 }, random);
  const mean = draws.reduce((sum, x) => sum + x, 0) / draws.length;
  assert.ok(Math.abs(mean - 0.5) < 4 * Math.sqrt(1 / 12 / draws.length), `mean ${mean}`);
  // Each of the 24 orders of 4 things in 12,000 permutations: chi-square with 23 degrees of freedom stays below 50.
  const counts = new Map<string, number>();
  for (let seed = 0; seed < 12_000; seed++) {
    const key = permutation(4, seed).join("");
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const chi = [...counts.values()].reduce((sum, n) => sum + (n - 500) ** 2 / 500, 0);
  assert.ok(counts.size === 24 && chi < 50, `chi-square ${chi}`);
});

const FIRST_OF_42 = [1264412219, 1947509147, 3919439299]; // by an independent sfc32 in Python
