// Where rows come from: encodings, gzip, folders and splits, globs, URLs, plain text, JSON in all its shapes.

import { fromFileUrl } from "@std/path";
import assert from "node:assert/strict";
import { glob } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { readCsv } from "../lib/data/csv.ts";
import { chooseSplit } from "../lib/data/files.ts";
import { globFiles } from "../lib/data/glob.ts";
import { readJson } from "../lib/data/json.ts";
import { loadDataset, type LoadOptions } from "../lib/data/load.ts";
import { decodeText } from "../lib/data/text.ts";
import { referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

const folder = await Deno.makeTempDir();
const bytesOf = (text: string) => new TextEncoder().encode(text);
async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = `${folder}/${name}`;
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  await Deno.writeFile(path, typeof content === "string" ? bytesOf(content) : content);
  return path;
}
const rowsOf = async (name: string, content: string | Uint8Array, options?: LoadOptions) =>
  (await loadDataset(await file(name, content), options)).toArray();
const utf16 = (text: string, little: boolean) =>
  Uint8Array.from([...text].flatMap((letter) => {
    const unit = letter.charCodeAt(0), pair = [unit & 255, unit >> 8];
    return little ? pair : pair.reverse();
  }));

Deno.test("text: a byte order mark decides; what is no UTF-8 is latin-1 in CSV and plain text", async () => {
  const text = "q,a\ncafé,€ 5\n", expected = [{ q: "café", a: "€ 5" }];
  assert.deepEqual(await rowsOf("a.csv", "\ufeff" + text), expected);
  assert.deepEqual(await rowsOf("a.csv", utf16("\ufeff" + text, true)), expected);
  assert.deepEqual(await rowsOf("a.csv", utf16("\ufeff" + text, false)), expected);
  assert.deepEqual(await rowsOf("a.csv", utf16(text, true), { encoding: "utf-16le" }), expected);
  assert.deepEqual(
    await rowsOf("a.jsonl", utf16('\ufeff{"q":"café"}\n{"q":"€"}', true)),
    [{ q: "café" }, { q: "€" }],
  );
  const latin = Uint8Array.from([...bytesOf("q,a\ncaf"), 0xe9, 44, 0x80, ...bytesOf(" 5\n")]);
  assert.deepEqual(await rowsOf("a.csv", latin), expected);
  assert.deepEqual(await rowsOf("a.txt", latin), [{ text: "q,a" }, { text: "café,€ 5" }]);
  // Far into the file, at every place relative to the pieces that it is read in.
  for (const padding of [262140, 262141, 262142, 262143, 262144]) {
    const start = "q\n" + "x".repeat(padding - 10) + "\n";
    assert.equal((await rowsOf("b.csv", start + "1é日€\n")).at(-1)?.q, "1é日€");
    const tail = Uint8Array.from([...bytesOf(start), 0xc9, 0x6e, 0xe9, 10]);
    assert.equal((await rowsOf("b.csv", tail)).at(-1)?.q, "Éné");
  }
});

Deno.test("text: what mixes encodings, or is no text, is refused with its line", async () => {
  const mixed = Uint8Array.from([...bytesOf("q\na\n"), 0xe9, 10, ...bytesOf("éöüñ 日本\n")]);
  const cases: [string, Uint8Array, RegExp, LoadOptions?][] = [
    ["a.csv", mixed, /mixes encodings.*not utf-8/],
    ["a.csv", Uint8Array.from([...bytesOf("q\né\n"), 0xe9, 10]), /a\.csv, line 3 is not utf-8 text/],
    ["a.csv", Uint8Array.from([...bytesOf("q\né\n1"), 0xe9]), /a\.csv, line 3 is not utf-8 text/],
    [
      "a.jsonl",
      Uint8Array.from([...bytesOf('{"a":1}\n{"a":"'), 0xe9, 34, 125]),
      /a\.jsonl, line 2 is not utf-8/,
    ],
    ["a.csv", utf16("q\n1\n", true), /holds zero bytes.*utf-16le/],
    ["a.csv", Uint8Array.from([0xff, 0xfe, 0, 0xd8, 65, 0]), /line 1 or after, is not utf-16le text/],
    ["a.csv", bytesOf("q\n1é\n"), /not ascii7|encoding "ascii7" is not known/, { encoding: "ascii7" }],
  ];
  for (const [name, content, pattern, options] of cases) {
    const path = await file(name, content);
    await refused(name, () => loadDataset(path, options), pattern);
  }
});

Deno.test("csv: one column keeps its empty cells; quotes, line ends, delimiters as they come", async () => {
  assert.deepEqual((await rowsOf("a.csv", 'a\n1\n\n""\n2\n\n\n')).map((row) => row.a), ["1", "", "", "2"]);
  assert.deepEqual((await rowsOf("a.csv", '\n\na\n\n1\n""\n')).map((row) => row.a), ["", "1", ""]);
  assert.deepEqual(await rowsOf("a.csv", "a,b\r\n\r\n1,\r\n\r\n"), [{ a: "1", b: "" }]);
  assert.deepEqual(await rowsOf("a.csv", "a,b\r1,2\r3,4"), [{ a: "1", b: "2" }, { a: "3", b: "4" }]);
  assert.deepEqual(await rowsOf("a.tsv", 'a\tb\n5" pipe\t"x\n', { quote: false }), [{
    a: '5" pipe',
    b: '"x',
  }]);
  assert.deepEqual(await rowsOf("a.csv", "a,b\n'x,''y',2\n", { quote: "'" }), [{ a: "x,'y", b: "2" }]);
  const wrong = await file("a.csv", "a;b\n1;2\n");
  await refused("delimiter", () => loadDataset(wrong), /one column named "a;b"; give \{ delimiter: ";" \}/);
  const stray = await file("a.csv", 'a,b\n1,2\n5" pipe,3\n');
  await refused("a stray quote", () => loadDataset(stray), /a\.csv, line 3: .*\{ quote: false \}/);
});

Deno.test("csv: a file put together of others has several kinds of line ends", async () => {
  for (const [first, second] of [["\r\n", "\n"], ["\n", "\r\n"], ["\n", "\r"]]) {
    const joined = (rows: string[]) => rows.map((row, i) => row + (i % 2 === 0 ? first : second)).join("");
    const lines = await rowsOf("a.csv", joined(["text", "one", "two", "three"]));
    assert.deepEqual(lines.map((row) => row.text), ["one", "two", "three"]);
    const pairs = await rowsOf("a.csv", joined(["a,b", "1,2", "3,4", "5,6"]));
    assert.deepEqual(pairs, [{ a: "1", b: "2" }, { a: "3", b: "4" }, { a: "5", b: "6" }]);
  }
});

Deno.test("what only stands for a file, or is another kind than its name says, is told by what it is", async () => {
  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
  for (const name of ["a.csv", "a.jsonl", "a.txt", "a.parquet"]) {
    const path = await file(name, pointer);
    await refused(name, () => loadDataset(path), /git's pointer to it: run "git lfs pull"/);
  }
  const list = await file("a.jsonl", '[\n{"a":1}\n]\n');
  await refused("a list", () => loadDataset(list), /holds a JSON list, .*name it \.json/);
  const formats = ["xlsx", "text"] as unknown as LoadOptions["format"][];
  for (const format of formats) {
    await refused(`${format}`, () => loadDataset(list, { format }), /the format "\w+" is not known/);
  }
});

Deno.test("no option is passed over: a split of one file, what only the Hub has; lists of files", async () => {
  const path = await file("one/validation.jsonl", '{"a":1}\n');
  assert.equal((await loadDataset(path, { split: "validation" })).length, 1);
  await refused(
    "train",
    () => loadDataset(path, { split: "train" }),
    /no file of the split "train"; found: val/,
  );
  const plain = await file("one/rows.jsonl", '{"a":1}\n');
  assert.equal((await loadDataset(plain, { split: "train" })).length, 1);
  await refused("test", () => loadDataset(plain, { split: "test" }), /no file of the split "test"/);
  await refused(
    "subset",
    () => loadDataset(plain, { subset: "en" }),
    /is a file or folder here, .* no subset/,
  );
  await refused("revision", () => loadDataset(`${folder}/one`, { revision: "v1" }), /here, .* no revision/);
  await refused("nothing", () => loadDataset([]), /an empty list/);
  await refused(
    "a number",
    () => loadDataset([1 as unknown as string]),
    /the path of each file as text, not 1/,
  );
});

Deno.test("folders: links to folders are followed, but not back; a table in two formats is refused", async () => {
  await file("far/a.jsonl", '{"a":1}\n');
  await file("near/b.jsonl", '{"a":2}\n');
  await Deno.symlink(`${folder}/far`, `${folder}/near/more`);
  assert.equal((await loadDataset(`${folder}/near`)).length, 2);
  await Deno.symlink(`${folder}/near`, `${folder}/near/again`);
  await refused(
    "a circle",
    () => loadDataset(`${folder}/near`),
    /again is a link to a folder that it lies in/,
  );
  await file("twice/rows.csv", "a\n1\n");
  await file("twice/rows.jsonl.gz", gzipSync('{"a":"1"}\n'));
  await refused("two formats", () => loadDataset(`${folder}/twice`), /same rows in two formats/);
});

Deno.test("splits of a glob by Windows' names: what stands before the glob says nothing about them", () => {
  const paths = ["C:\\test\\rows\\train.jsonl", "C:\\test\\rows\\valid.jsonl"];
  assert.deepEqual(chooseSplit(paths, "C:/test/rows/", "train"), paths.slice(0, 1));
});

/** A text in pieces of any size. */
async function* pieces(text: string, size: number): AsyncGenerator<string> {
  for (let at = 0; at < text.length; at += size) yield await Promise.resolve(text.slice(at, at + size));
}
const flat = async <T>(blocks: AsyncIterable<T[]>) => (await Array.fromAsync(blocks)).flat();

Deno.test("csv: the same rows, and line numbers, however the file is cut into pieces", async () => {
  const records = Array.from({ length: 50 }, (_, i) => `${i},"a ""b""\n${"x,\r\n".repeat(i % 4)}",z`);
  const text = "n,t,u\n" + records.join("\n") + "\n";
  const options = { delimiter: ",", quote: '"' };
  const whole = await flat(readCsv(pieces(text, 1e6), "x.csv", options));
  assert.equal(whole[7].t, 'a "b"\nx,\r\nx,\r\nx,\r\n');
  for (const size of [1, 2, 3, 7, 64, 501]) {
    assert.deepEqual(await flat(readCsv(pieces(text, size), "x.csv", options)), whole, `${size}`);
    const bad = text + "1,2\n";
    const line = bad.split("\n").length - 1;
    await refused(
      `${size}`,
      () => flat(readCsv(pieces(bad, size), "x.csv", options)),
      RegExp(`line ${line}: 2 fields`),
    );
  }
});

Deno.test("json: lists, objects with a list, lines, and pandas' columns, index, split, records and table", async () => {
  const rows = [{ q: "bond", n: 1 }, { q: "fund", n: 2 }];
  const forms = [
    rows,
    { data: rows },
    { version: 1, meta: { a: [1] }, data: rows },
    { q: ["bond", "fund"], n: [1, 2] },
    { q: { "0": "bond", "1": "fund" }, n: { "0": 1, "1": 2 } },
    { "0": rows[0], "1": rows[1] },
    { columns: ["q", "n"], index: [0, 1], data: [["bond", 1], ["fund", 2]] },
    { schema: { fields: [{ name: "q" }] }, data: rows },
  ];
  for (const form of forms) {
    assert.deepEqual(await rowsOf("a.json", JSON.stringify(form, null, 1)), rows, JSON.stringify(form));
  }
  assert.deepEqual(await rowsOf("a.json", rows.map((row) => JSON.stringify(row)).join("\n")), rows);
  assert.deepEqual(await rowsOf("a.json", '{"text": ["a", "b"]}'), [{ text: "a" }, { text: "b" }]);
  const path = await file("a.json", '{"a": [1, 2], "b": [3]}');
  await refused("columns", () => loadDataset(path), /the column "b" has 1 values where "a" has 2/);
});

Deno.test("json: the streaming parser gives what JSON.parse gives, and errors with the row", async () => {
  const rows = Array.from({ length: 40 }, (_, i) => ({
    n: i * 1.5e-7,
    text: 'é "q" \\ \n\u{1f4b6}\u2028' + i,
    deep: [{ a: [i, null, true, {}], b: { c: [] } }],
    ["__proto__x"]: -0.5,
  }));
  const read = async (text: string, size: number, field?: string) =>
    await flat(readJson(pieces(text, size), "x.json", field, 10));
  const object = JSON.stringify({ v: { a: 1 }, other: [], data: rows, end: [] });
  for (const size of [11, 64, 333, 1e6]) {
    assert.deepEqual(await read(JSON.stringify(rows), size), rows);
    assert.deepEqual(await read("  " + JSON.stringify(rows, null, 2) + "\n\n", size), rows);
    assert.deepEqual(await read(object, size, "data"), rows);
    assert.deepEqual(
      await read(rows.map((row) => JSON.stringify(row)).join("\n"), size < 333 ? 333 : size),
      rows,
    );
  }
  const cases: [string, RegExp, string?][] = [
    ['[{"a":1},{"a":2}', /x\.json, in row 2 or behind it, is not valid JSON/],
    ['[{"a":1},{"a":x}]', /x\.json, in row 1 or behind it, is not valid JSON/],
    ['[{"a":1},3,{"a":1}]', /x\.json, row 1 is 3, not an object/],
    ['[{"a":1},{"a":2}] [1]', /is not valid JSON/],
    ['{"a":[{"b":1}],"c":[{"b":1}]}', /several lists: .*"a", "c"/],
    ['{"a":[{"b":1}],"c":[{"b":1}]}', /has no list "d"/, "d"],
    ['{"a":{"b":1},"c":1234567}', /neither a list of rows nor an object with one/],
  ];
  for (const [text, pattern, field] of cases) await refused(text, () => read(text, 12, field), pattern);
});

Deno.test("plain text: a row a line, a paragraph, a file", async () => {
  const text = "One\r\ntwo.\n\n \nThree\n";
  assert.deepEqual((await rowsOf("a.txt", text)).map((row) => row.text), ["One", "two.", "", " ", "Three"]);
  assert.deepEqual(await rowsOf("a.md", text, { sampleBy: "paragraph" }), [{ text: "One\ntwo." }, {
    text: "Three",
  }]);
  assert.deepEqual(await rowsOf("a.txt", text, { sampleBy: "document" }), [{ text }]);
  const path = await file("a.txt", text);
  await refused(
    "sampleBy",
    () => loadDataset(path, { sampleBy: "word" as "line" }),
    /"line", "paragraph" or/,
  );
});

Deno.test("gzip: of every kind, of several members, known by its bytes; damage and bombs are refused", async () => {
  const lines = '{"a":1}\n{"a":2}\n';
  assert.equal((await rowsOf("a.jsonl.gz", gzipSync(lines))).length, 2);
  assert.equal((await rowsOf("a.CSV.GZ", gzipSync("a\n1\n"))).length, 1);
  assert.equal((await rowsOf("a.txt.gz", gzipSync("a\n1\n"))).length, 2);
  assert.equal((await rowsOf("plain.jsonl", gzipSync(lines))).length, 2);
  const two = Uint8Array.from([...gzipSync(lines), ...gzipSync(lines)]);
  assert.equal((await rowsOf("a.jsonl.gz", two)).length, 4);
  const whole = gzipSync(lines.repeat(1000));
  const bomb = gzipSync(new Uint8Array(2 ** 26 + 2 ** 20).fill(120), { level: 9 });
  const cases: [string, Uint8Array, RegExp, LoadOptions?][] = [
    ["cut", whole.subarray(0, -20), /a\.jsonl\.gz is damaged or cut short: gzip says/],
    ["flipped", Uint8Array.from(whole, (byte, i) => i === 40 ? byte ^ 255 : byte), /is damaged or cut short/],
    ["bomb", bomb, /a\.jsonl\.gz unpacks to more than 1000 times its size/],
    ["size", bomb, /holds more than 1 MB/, { maxBytes: 1e6 }],
  ];
  for (const [what, bytes, pattern, options] of cases) {
    const path = await file("a.jsonl.gz", bytes);
    await refused(what, () => loadDataset(path, options), pattern);
  }
});

Deno.test("folders: nested files in the order of their names, a split by whole words, never mixed unasked", async () => {
  const name = (path: string) => file(`set/${path}`, `{"from":"${path}"}\n`);
  const paths = ["more/train-1.jsonl", "more/train-2.jsonl", "my_test.jsonl", "train.csv", "valid.jsonl"];
  for (const path of [...paths, ".hidden/train.jsonl", "__pycache__/x.jsonl"]) {
    if (path.endsWith(".csv")) await file(`set/${path}`, `from\n${path}\n`);
    else await name(path);
  }
  await file("set/dataset_info.json", "{}");
  await file("set/README.md", "no rows");
  const load = async (options?: LoadOptions) =>
    (await loadDataset(`${folder}/set`, options)).map((row) => row.from).toArray();
  assert.deepEqual(await load({ split: "train" }), ["more/train-1.jsonl", "more/train-2.jsonl", "train.csv"]);
  assert.deepEqual(await load({ split: "validation" }), ["valid.jsonl"]);
  assert.deepEqual(await load({ split: "test" }), ["my_test.jsonl"]);
  assert.deepEqual(await load({ split: "all" }), paths);
  await refused("no split", () => load(), /holds several splits \(train, validation, test\): say which/);
  await refused("another", () => load({ split: "extra" }), /no file of the split "extra"; found: train, /);
  const matched = await loadDataset(`${folder}/set/**/*.jsonl`, { split: "train" });
  assert.equal(matched.length, 2);
  await file("plain/contest.jsonl", '{"a":1}');
  await file("plain/retrained.jsonl", '{"a":2}');
  assert.equal((await loadDataset(`${folder}/plain`)).length, 2);
  assert.equal((await loadDataset(`${folder}/plain`, { split: "train" })).length, 2);
  await file("texts/b.txt", "two");
  await file("texts/a.txt", "one");
  assert.deepEqual((await loadDataset(`${folder}/texts`)).map((row) => row.text).toArray(), ["one", "two"]);
  await file("texts/c.md", "three");
  assert.equal((await loadDataset(`${folder}/texts`, { sampleBy: "document" })).length, 3);
  assert.equal((await loadDataset([`${folder}/texts/a.txt`, `${folder}/texts/c.md`])).length, 2);
});

Deno.test("globs: matches in the order of their names", async () => {
  for (const path of ["g/a1.jsonl", "g/a2.jsonl", "g/b.csv", "g/deep/a3.jsonl"]) {
    await file(path, path.endsWith("csv") ? `from\n${path}\n` : `{"from":"${path}"}`);
  }
  const load = async (glob: string) =>
    (await loadDataset(`${folder}/${glob}`)).map((row) => row.from).toArray();
  assert.deepEqual(await load("g/a*.jsonl"), ["g/a1.jsonl", "g/a2.jsonl"]);
  assert.deepEqual(await load("g/**/*.{jsonl,csv}"), [
    "g/a1.jsonl",
    "g/a2.jsonl",
    "g/b.csv",
    "g/deep/a3.jsonl",
  ]);
  await refused("no match", () => load("g/*.parquet"), /matches no file/);
});

Deno.test("globs fit the files that Node's own finds, and need no permission but to read", async () => {
  const names = ["a1", "a2", "a10", "[x]", "b/a1", "b/c/a1", "b/c/d/z", ".hidden", "b/.git/a1"];
  for (const name of names) await file(`globs/${name}.csv`, "a\n1\n");
  const patterns =
    "*.csv a?.csv a[2-9]*.csv a[!2]*.csv **/*.csv ** b/**/a1.csv */a1.csv */c/* {a1,b/c/{a1,no}}.csv " +
    "a{1..10}.csv .h* b/.*/* **/c/**/*.csv a1.csv/* no/* ./b/../a*";
  for (const pattern of patterns.split(" ").map((pattern) => `${folder}/globs/${pattern}`)) {
    const paths = await Array.fromAsync(glob(pattern));
    const files = paths.filter((path) => Deno.statSync(path).isFile);
    assert.deepEqual(await globFiles(pattern), files.sort(), pattern);
  }
  await Deno.symlink(`${folder}/globs/b`, `${folder}/globs/link`, { type: "dir" });
  const through = ["*/a1.csv", "**/a1.csv"].map((pattern) => globFiles(`${folder}/globs/${pattern}`));
  assert.deepEqual((await Promise.all(through)).map(({ length }) => length), [2, 3], "a link as in a shell");

  const from = JSON.stringify(import.meta.resolve("../mod.ts"));
  const script = `import { loadDataset } from ${from}; console.log(String(await loadDataset("a*.csv")));`;
  await Deno.writeTextFile(`${folder}/globs/load.ts`, script);
  const config = fromFileUrl(import.meta.resolve("../deno.json"));
  const args = ["run", "--no-prompt", "--no-check", "--config", config, "--allow-read", "load.ts"];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args, cwd: `${folder}/globs` }).output();
  assert.equal(new TextDecoder().decode(stdout), "a*.csv: 3 rows (a)\n");
});

Deno.test("URLs: by ending or content type, through redirects; what fails is one sentence", async () => {
  const parquet = await Deno.readFile(`${referenceFolder("data_files")}/delta.parquet`);
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    const path = new URL(request.url).pathname;
    const of = (body: BodyInit, type = "text/plain") =>
      new Response(body, { headers: { "content-type": type } });
    if (path === "/rows.csv") return of("a,b\n1,2\n");
    if (path === "/typed") return of('{"a":1}\n{"a":2}\n', "application/x-ndjson; charset=utf-8");
    if (path === "/rows.jsonl.gz") return of(Uint8Array.from(gzipSync('{"a":1}\n')));
    if (path === "/rows") return of(parquet, "application/vnd.apache.parquet");
    if (path === "/moved") return Response.redirect(new URL("/rows.csv", request.url), 302);
    if (path === "/loop.csv") return Response.redirect(request.url, 302);
    if (path === "/large.csv") return of("a\n" + "1\n".repeat(600_000));
    if (path === "/page") return of("<html>", "text/html");
    return new Response("no", { status: 404 });
  });
  const at = (path: string) => `http://127.0.0.1:${server.addr.port}${path}`;
  assert.deepEqual((await loadDataset(at("/rows.csv?download=1"))).toArray(), [{ a: "1", b: "2" }]);
  assert.equal(String(await loadDataset(at("/typed"))), "typed: 2 rows (a)");
  assert.equal((await loadDataset(at("/rows.jsonl.gz"))).length, 1);
  assert.equal((await loadDataset(at("/rows"))).length, 40);
  assert.equal((await loadDataset(at("/moved"), { format: "csv" })).length, 1);
  const cases: [string, RegExp, LoadOptions?][] = [
    [at("/none.csv"), /none\.csv answers 404 Not Found/],
    [at("/page"), /neither its ending nor the server's content type says what it is/],
    [at("/loop.csv"), /loop\.csv cannot be reached/],
    [at("/large.csv"), /holds more than 1 MB/, { maxBytes: 1e6 }],
    [
      "http://me:secret@127.0.0.1/x.csv",
      /^a URL with a name or password in it is not fetched: download the file first\.$/,
    ],
    ["http://127.0.0.1:1/x.csv", /x\.csv cannot be reached: /],
  ];
  for (const [url, pattern, options] of cases) await refused(url, () => loadDataset(url, options), pattern);
  await server.shutdown();
});

Deno.test("URLs: a body that is cut short is refused, not taken for the whole", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served = (async () => {
    using connection = await listener.accept();
    await connection.read(new Uint8Array(4096));
    await connection.write(bytesOf("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na,b\n1,2\n"));
  })();
  const url = `http://127.0.0.1:${listener.addr.port}/rows.csv`;
  await refused("cut", () => loadDataset(url), /rows\.csv broke off: /);
  await served;
  listener.close();
});

Deno.test("text pieces: decoding does not depend on how the bytes arrive", async () => {
  const text = "\ufeffaé日\u{1f4b6}\r\n\ufeffb";
  const bytes = bytesOf(text);
  for (const size of [3, 4, 5, 7, 100]) {
    const cut = (async function* () {
      for (let at = 0; at < bytes.length; at += size) {
        yield await Promise.resolve(bytes.subarray(at, at + size));
      }
    })();
    const decoded = (await Array.fromAsync(decodeText(cut, "x", { guess: true }))).join("");
    assert.equal(decoded, text.slice(1), `${size}`);
  }
});
