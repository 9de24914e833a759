// Tokens on disk: read back number for number, named after all they depend on, and never trusted when damaged.

import assert from "node:assert/strict";
import { type Batches, type BatchOptions, packBatches, padBatches } from "../lib/data/pack.ts";
import { financeQA, type Prompt } from "../lib/data/prompt.ts";
import type { Row } from "../lib/data/row.ts";
import { decodeBlock, defaultCacheFolder, encodeBlock } from "../lib/data/token_cache.ts";
import { blockBuilder } from "../lib/data/token_rows.ts";
import { UserError } from "../lib/errors.ts";
import { loadTokenizer, type Tokenizer } from "../lib/text/tokenizer.ts";

const tiny = await loadTokenizer(
  new URL("./reference/tiny_tokenizer/", import.meta.url).pathname,
) as Tokenizer;

/** The tokenizer, counting how often it is asked. */
function counting(): { tokenizer: Tokenizer; calls: () => number } {
  let calls = 0;
  const encode: Tokenizer["encode"] = (...args) => (calls++, tiny.encode(...args));
  return { tokenizer: { ...tiny, encode }, calls: () => calls };
}

/** More rows than a block has. */
const ROWS: Row[] = Array.from({ length: 5000 }, (_, n) => ({
  instruction: `What is bond ${n}?`,
  output: n % 1000 === 3 ? "x ".repeat(400) : `A loan of ${n} dollars. `.repeat(1 + n % 5),
}));
const numbers = (batches: Batches) =>
  Array.from(
    batches,
    (batch) => Object.values(batch).map((value) => typeof value === "number" ? value : [...value]),
  );

async function inFolder(run: (cache: string) => void | Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(`${folder}/made/by itself`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("cache: the second run equals the first number for number, and asks the tokenizer nothing", async () => {
  await inFolder((cache) => {
    const options: BatchOptions = { prompt: financeQA, completionOnly: true, maxLength: 256, cache };
    const plain = packBatches(ROWS, { ...options, cache: false, tokenizer: tiny });
    for (const [run, cached] of [["first", 0], ["second", 5000]] as const) {
      const { tokenizer, calls } = counting();
      const batches = packBatches(ROWS.values(), { ...options, tokenizer });
      assert.equal(batches.cached, cached, run);
      assert.equal(calls() > 0, run === "first");
      assert.deepEqual(numbers(batches), numbers(plain));
      assert.deepEqual([batches.truncated, batches.dropped], [plain.truncated, plain.dropped]);
      assert.equal(String(batches), String(plain));
    }
    assert.equal(plain.truncated, 5);
    assert.equal([...Deno.readDirSync(cache)].length, 3); // 2,048 rows a block, and no temporary files
    assert.equal(padBatches(ROWS, { ...options, tokenizer: tiny }).cached, 5000); // the layout is no part of the key
    const longer = packBatches([...ROWS, ROWS[0]], { ...options, tokenizer: tiny });
    assert.equal(longer.cached, 4096); // only the block that grew is tokenized again
  });
});

Deno.test("cache: another tokenizer, prompt, option or text has another key", async () => {
  await inFolder((cache) => {
    const options = { tokenizer: tiny, prompt: financeQA, maxLength: 64, cache };
    const rows = ROWS.slice(0, 3);
    packBatches(rows, options);
    const other: Prompt = { ...financeQA, answer: (row) => ` ${row.output}!` };
    const changes: [Row[], BatchOptions][] = [
      [rows, { ...options, tokenizer: { ...tiny, fingerprint: () => "another" } }],
      [rows, { ...options, tokenizer: { ...tiny, eosId: 0 } }],
      [rows, { ...options, prompt: other }],
      [rows, { ...options, maxLength: 63 }],
      [rows, { ...options, completionOnly: true }],
      [rows.toReversed(), options],
      [[{ instruction: rows[0].instruction + " ", output: rows[0].output }, ...rows.slice(1)], options],
    ];
    for (const [changed, withOptions] of changes) assert.equal(packBatches(changed, withOptions).cached, 0);
    assert.equal(packBatches(rows, options).cached, 3);
    assert.equal(packBatches(rows, { ...options, batchSize: 1 }).cached, 3);
    assert.equal([...Deno.readDirSync(cache)].length, 1 + changes.length);
  });
});

Deno.test("cache: damaged, cut, empty and foreign files are written anew", async () => {
  await inFolder((cache) => {
    const options = { tokenizer: tiny, prompt: financeQA, cache };
    const rows = ROWS.slice(0, 20);
    const first = numbers(packBatches(rows, options));
    const path = `${cache}/${[...Deno.readDirSync(cache)][0].name}`;
    const whole = Deno.readFileSync(path);
    const damage = (at: number) => whole.with(at, whole[at] ^ 1);
    const places = Array.from({ length: 40 }, (_, i) => Math.floor(i * whole.length / 40));
    const files = [...places.map(damage), whole.subarray(0, -1), whole.subarray(0, 30), new Uint8Array()];
    files.push(new Uint8Array([...whole, 0]), new TextEncoder().encode("{}"));
    for (const file of files) {
      Deno.writeFileSync(path, file);
      const batches = packBatches(rows, options);
      assert.equal(batches.cached, 0);
      assert.deepEqual(numbers(batches), first);
      assert.deepEqual(Deno.readFileSync(path), whole);
    }
    assert.equal(packBatches(rows, options).cached, 20);
  });
});

Deno.test("cache: a file whose checksum is right but whose rows make no sense is no block", () => {
  const builder = blockBuilder(100);
  builder.add([1, 70_000, 3], [-100, 70_000, 4]);
  builder.add([5, 6], [5, 6]);
  const block = builder.finish();
  assert.deepEqual(decodeBlock(encodeBlock(block)), block);
  assert.ok(block.ids instanceof Int32Array && block.labels instanceof Int32Array);
  const wrong = [
    { ...block, starts: Uint32Array.of(0, 9, 5) },
    { ...block, starts: Uint32Array.of(1, 3, 5) },
    { ...block, rows: Uint32Array.of(1, 0) },
    { ...block, ids: Int32Array.of(1, -7, 3, 5, 6) },
    { ...block, labels: Int32Array.of(1, -7, 3, 5, 6) },
  ];
  for (const each of wrong) assert.equal(decodeBlock(encodeBlock(each)), undefined);
});

Deno.test("cache: a folder that takes nothing costs a warning, a tokenizer without a fingerprint is an error", async () => {
  await inFolder((cache) => {
    const options = { tokenizer: tiny, prompt: financeQA, cache };
    Deno.mkdirSync(cache, { recursive: true });
    const file = `${cache}/file`;
    Deno.writeTextFileSync(file, "");
    const [warn, lines] = [console.warn, [] as string[]];
    console.warn = (line: string) => lines.push(line);
    try {
      assert.equal(packBatches(ROWS, { ...options, cache: file }).rows, 5000);
    } finally {
      console.warn = warn;
    }
    assert.equal(lines.length, 1);
    assert.match(lines[0], /^tokens are not cached in .*file: /);
    const { fingerprint: _, ...bare } = tiny;
    assert.throws(
      () => packBatches(ROWS, { ...options, tokenizer: bare }),
      /no fingerprint\(\) of its files/,
    );
  });
});

Deno.test("cache: true is the system's cache folder", { ignore: Deno.build.os !== "linux" }, () => {
  const names = ["XDG_CACHE_HOME", "HOME"], before = names.map((name) => Deno.env.get(name));
  const set = (name: string, value?: string) =>
    value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
  try {
    set("XDG_CACHE_HOME", "/caches");
    assert.equal(defaultCacheFolder(), "/caches/fintune/tokens");
    set("XDG_CACHE_HOME");
    set("HOME", "/home/somebody");
    assert.equal(defaultCacheFolder(), "/home/somebody/.cache/fintune/tokens");
    set("HOME");
    assert.throws(defaultCacheFolder, /names no cache folder/);
  } finally {
    names.forEach((name, i) => set(name, before[i]));
  }
});

Deno.test("cache: permissions that are missing are named", { permissions: { read: true } }, () => {
  const options = { tokenizer: tiny, prompt: financeQA };
  const refused = (cache: boolean | string, message: RegExp) =>
    assert.throws(
      () => packBatches(ROWS.slice(0, 2), { ...options, cache }),
      (error: Error) => error instanceof UserError && message.test(error.message),
    );
  refused(true, /--allow-env=XDG_CACHE_HOME,HOME\); or name one/);
  refused("somewhere", /no permission to write somewhere: run with --allow-write/);
});
