// An epoch over real rows (FiQA and Alpaca, batches of 8, cut at 512 tokens), packed, beside PEFT padded to the longest of the
// 8: the same rows in the same order, from the same start.
//   deno run -A bench/epoch.ts [FOLDER] [--steps 12 | --steps all] [--all]      (FOLDER: default FINTUNE_SMOLLM2)
// FINTUNE_SHARED names the folder with data/finance_alpaca; default ../shared. --all adds PEFT in bf16, and in f32 on rows
// that are joined and cut into full blocks (these see one another: another training).
import { join } from "@std/path";
import { financeQA, loadDataset, loadTokenizer, markdownTable, packBatches } from "../mod.ts";
import { machine, type Memory, ours, parseArgs, rival, verdict } from "./sides.ts";

interface Training extends Memory {
  tokensPerSecond: number;
  totalSeconds: number;
  tokens: number;
  filled: number;
  losses: number[];
}

const options = parseArgs(Deno.args, { string: ["_", "steps"], boolean: ["all"], default: { steps: "12" } });
const model = options._[0] as string ?? Deno.env.get("FINTUNE_SMOLLM2");
if (!model) throw new Error("Name SmolLM2-135M's folder, as an argument or in FINTUNE_SMOLLM2.");
const data = join(Deno.env.get("FINTUNE_SHARED") ?? "../shared", "data", "finance_alpaca");
const batchSize = 8, maxLength = 512;

const rows = (await loadDataset(join(data, "fiqa_pairs.jsonl")))
  .concat(await loadDataset(join(data, "alpaca_en_demo.json")))
  .shuffle(1);
const batches = packBatches(rows, {
  tokenizer: await loadTokenizer(model),
  prompt: financeQA,
  batchSize,
  maxLength,
});
const steps = options.steps === "all" ? batches.length : Math.min(Number(options.steps), batches.length);
const examples = batches.examples.slice(0, steps * batchSize)
  .map(({ inputIds, labels }) => ({ inputIds: [...inputIds], labels: [...labels] }));

const folder = await Deno.makeTempDir();
try {
  const file = join(folder, "rows.json"), adapter = join(folder, "adapter");
  await Deno.writeTextFile(file, JSON.stringify(examples));
  const task = { model, rows: file, steps, "batch-size": batchSize, "max-length": maxLength };
  console.log(machine());
  console.log(`${batches}\nOf these the first ${steps} batches.`);
  const packed = await ours<Training>("train.ts", { ...task, "save-adapter": adapter });
  const peft = (more: Record<string, string>) =>
    rival<Training>("peft_train.py", { ...task, adapter, ...more });
  const longest = await peft({});
  const sides: [string, Training | undefined][] = [
    ["fintune f32, packed", packed],
    ["PEFT f32, padded to the longest", longest],
  ];
  if (options.all) {
    sides.push(["PEFT bf16, padded to the longest", await peft({ dtype: "bf16" })]);
    sides.push(["PEFT f32, joined and cut", await peft({ pad: "concat" })]);
  }
  const table = sides.flatMap(([side, result]) =>
    result
      ? [{
        side,
        "real tokens": result.tokens,
        "% of positions": (100 * result.filled).toFixed(1),
        "real tokens/s": result.tokensPerSecond.toFixed(1),
        seconds: result.totalSeconds.toFixed(0),
        "peak GB": (result.peakBytes / 1e9).toFixed(2),
        "first loss": result.losses[0].toFixed(5),
        "last loss": result.losses.at(-1)!.toFixed(5),
      }]
      : []
  );
  console.log(markdownTable(table));
  if (longest) {
    const largest = Math.max(...packed.losses.map((loss, i) => Math.abs(loss - longest.losses[i])));
    console.log(`Losses of ${steps} steps, packed and padded: at most ${largest.toExponential(1)} apart.`);
  }
  const speed = (side: Training | undefined) => side && { ...side, speed: side.tokensPerSecond };
  console.log(verdict("Packed beside PEFT padded", speed(packed)!, speed(longest)));
} finally {
  await Deno.remove(folder, { recursive: true });
}
