// Our side of bench/tokenize.ts: rows from a JSONL file, rendered, tokenized and packed; nothing but the tokens stays in memory.
import process from "node:process";
import { type Batches, financeQA, loadTokenizer, packBatches, processMemory, type Row } from "../../mod.ts";
import { parseArgs } from "../sides.ts";

const { rows, tokenizer: folder, cache } = parseArgs(Deno.args, { string: ["rows", "tokenizer", "cache"] });

/** The file's rows, one at a time. */
function* lines(path: string): Generator<Row> {
  using file = Deno.openSync(path);
  const decoder = new TextDecoder(), bytes = new Uint8Array(1 << 16);
  let rest = "";
  for (let size; (size = file.readSync(bytes)) !== null;) {
    const parts = (rest + decoder.decode(bytes.subarray(0, size), { stream: true })).split("\n");
    rest = parts.pop()!;
    for (const line of parts) yield JSON.parse(line);
  }
}

const tokenizer = await loadTokenizer(folder!);
const before = processMemory().rss;
const started = performance.now(), cpu = process.cpuUsage();
const batches: Batches = packBatches(lines(rows!), {
  tokenizer,
  prompt: financeQA,
  maxLength: 1 << 20,
  cache,
});
const seconds = (performance.now() - started) / 1000;
const used = process.cpuUsage(cpu);
const { rss, peak } = processMemory();
let sum = 0;
for (const { inputIds } of batches.examples) {
  for (const id of inputIds.subarray(tokenizer!.addsBos ? 1 : 0, -1)) sum = (sum * 31 + id) % 2147483647;
}
console.log(JSON.stringify({
  seconds,
  cpuSeconds: (used.user + used.system) / 1e6,
  rows: batches.rows,
  tokens: batches.tokens - batches.rows * (tokenizer!.addsBos ? 2 : 1),
  residentBytes: rss,
  beforeBytes: before,
  peakBytes: peak,
  sum,
  cached: batches.cached,
}));
