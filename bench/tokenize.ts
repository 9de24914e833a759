// Tokenizing: as many rows as finance-alpaca has, from a JSONL file to packed batches, beside the Rust library from Python.
//   deno run -A bench/tokenize.ts [--tokenizers smollm2,tinyllama] [--rows 68912] [--keep FOLDER]
// FINTUNE_SHARED names the folder with data/ and tokenizers/ (default ../shared); without it the embedded example's rows and
// tokenizer are taken. The ids of both sides must be the same.
import { join } from "@std/path";
import { formatNumber, markdownTable } from "../mod.ts";
import { FINANCE_ALPACA_ROWS, financeRows } from "./finance_rows.ts";
import { machine, type Memory, ours, parseArgs, rival, verdict } from "./sides.ts";

interface Tokenizing extends Memory {
  seconds: number;
  cpuSeconds: number;
  rows: number;
  tokens: number;
  sum: number;
  cached?: number;
  beforeBytes?: number;
}

const options = parseArgs(Deno.args, {
  string: ["tokenizers", "rows", "keep"],
  default: { tokenizers: "smollm2,tinyllama,flan-t5", rows: String(FINANCE_ALPACA_ROWS) },
});
const tokenizers = join(Deno.env.get("FINTUNE_SHARED") ?? "../shared", "tokenizers");
const there = await Deno.stat(tokenizers).then(() => true, () => false);
const folders = there
  ? options.tokenizers.split(",").map((name: string) => join(tokenizers, name))
  : ["examples/tiny/model"];

const folder = options.keep ?? await Deno.makeTempDir();
try {
  const file = join(folder, "rows.jsonl");
  await writeRows(file, Number(options.rows));
  console.log(machine());
  for (const tokenizer of folders) await compare(file, tokenizer);
} finally {
  if (!options.keep) await Deno.remove(folder, { recursive: true });
}

async function compare(rows: string, tokenizer: string): Promise<void> {
  const cache = await Deno.makeTempDir();
  const sides: [string, Tokenizing | undefined][] = [
    ["fintune, no cache", await ours<Tokenizing>("tokenize.ts", { rows, tokenizer })],
    ["fintune, first run with the cache", await ours<Tokenizing>("tokenize.ts", { rows, tokenizer, cache })],
    ["fintune, second run", await ours<Tokenizing>("tokenize.ts", { rows, tokenizer, cache })],
    [
      "tokenizers, row by row",
      await rival<Tokenizing>("tokenizers_encode.py", { rows, tokenizer, how: "map" }),
    ],
    [
      "tokenizers, encode_batch",
      await rival<Tokenizing>("tokenizers_encode.py", { rows, tokenizer, how: "batch" }),
    ],
  ];
  await Deno.remove(cache, { recursive: true });
  console.log(`\n${tokenizer}`);
  console.log(markdownTable(sides.flatMap(([side, result]) =>
    result
      ? [{
        side,
        rows: formatNumber(result.rows),
        tokens: formatNumber(result.tokens),
        seconds: result.seconds.toFixed(1),
        "CPU seconds": result.cpuSeconds.toFixed(1),
        "tokens/s": formatNumber(Math.round(result.tokens / result.seconds)),
        "peak GB": (result.peakBytes / 1e9).toFixed(2),
      }]
      : []
  )));
  const [plain, , , one, batch] = sides.map(([, result]) =>
    result && { ...result, speed: 1 / result.seconds }
  );
  for (const other of sides) {
    if (other[1] && other[1].sum !== plain!.sum) console.log(`IDS DIFFER: ${other[0]}`);
  }
  console.log(verdict("Beside the Rust library row by row", plain!, one));
  console.log(verdict("Beside its encode_batch on all cores", plain!, batch));
}

async function writeRows(path: string, count: number): Promise<void> {
  const encoder = new TextEncoder();
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  let lines = "";
  const flush = async () => {
    for (let bytes = encoder.encode(lines); bytes.length > 0;) {
      bytes = bytes.subarray(await file.write(bytes));
    }
    lines = "";
  };
  for (const row of await financeRows(count)) {
    lines += JSON.stringify(row) + "\n";
    if (lines.length > 1 << 20) await flush();
  }
  await flush();
}
