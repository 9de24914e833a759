// Training of SmolLM2-135M (LoRA r=16 on q, k, v and o, 4 x 512 tokens a step, f32, CPU) beside PyTorch + PEFT: same weights,
// same token rows, same start, so that the losses must agree.
//   deno run -A bench/train.ts [FOLDER] [--steps 5] [--rows 4] [--length 512]      (FOLDER: default FINTUNE_SMOLLM2)
import { join } from "@std/path";
import { loadConfig, markdownTable, seededRandom } from "../mod.ts";
import { linearModules, type ModelConfig } from "../lib/models/config.ts";
import { machine, type Memory, ours, parseArgs, rival, verdict } from "./sides.ts";

interface Training extends Memory {
  tokensPerSecond: number;
  firstStepSeconds: number;
  losses: number[];
}

const options = parseArgs(Deno.args, { string: ["_"], default: { steps: 5, rows: 4, length: 512 } });
const model = options._[0] as string ?? Deno.env.get("FINTUNE_SMOLLM2");
if (!model) throw new Error("Name SmolLM2-135M's folder, as an argument or in FINTUNE_SMOLLM2.");

/**
 * Operations that one token costs at the least: products with the weights forward and for their input's gradient, LoRA's
 * matrices forward and for both gradients, attention over the causal half. Nothing is counted for recomputing.
 */
function operationsPerToken(config: ModelConfig, length: number): number {
  const r = 16;
  let operations = 0;
  for (const [name, { inFeatures, outFeatures }] of linearModules(config)) {
    operations += 4 * inFeatures * outFeatures;
    if (/[qkvo]_proj$/.test(name)) operations += 6 * r * (inFeatures + outFeatures);
  }
  const attention = 4 * (length / 2) * config.numAttentionHeads * config.headDim;
  return operations + 3 * attention * config.numHiddenLayers;
}

const folder = await Deno.makeTempDir();
try {
  const config = await loadConfig(model);
  const random = seededRandom(0);
  const tokens = Array.from(
    { length: options.rows * options.steps },
    () => Array.from({ length: options.length }, () => 5 + Math.floor(random() * (config.vocabSize - 5))),
  );
  const rows = join(folder, "rows.json"), adapter = join(folder, "adapter");
  await Deno.writeTextFile(rows, JSON.stringify(tokens));
  const task = {
    model,
    rows,
    steps: options.steps,
    "batch-size": options.rows,
    "max-length": options.length,
  };

  console.log(machine());
  const roof = (await ours<{ gflops: number }>("product.ts", {})).gflops;
  const kept = await ours<Training>("train.ts", { ...task, activations: "kept", "save-adapter": adapter });
  const recomputed = await ours<Training>("train.ts", { ...task, activations: "recomputed", adapter });
  const peft = (more: Record<string, string | boolean>) =>
    rival<Training>("peft_train.py", { ...task, adapter, ...more });
  const plain = await peft({});
  const sides: [string, Training | undefined][] = [
    ["fintune f32, activations kept", kept],
    ["fintune f32, recomputed", recomputed],
    ["PEFT f32", plain],
    ["PEFT f32, gradient checkpointing", await peft({ "gradient-checkpointing": true })],
    ["PEFT bf16", await peft({ dtype: "bf16" })],
  ];
  const operations = operationsPerToken(config, options.length);
  const rowsOf = sides.flatMap(([side, result]) =>
    result
      ? [{
        side,
        "tokens/s": result.tokensPerSecond.toFixed(1),
        "GFLOP/s": (result.tokensPerSecond * operations / 1e9).toFixed(0),
        "% of the roof": (100 * result.tokensPerSecond * operations / 1e9 / roof).toFixed(0),
        "first step s": result.firstStepSeconds.toFixed(1),
        "peak GB": (result.peakBytes / 1e9).toFixed(2),
        "first loss": result.losses[0].toFixed(5),
        "last loss": result.losses.at(-1)!.toFixed(5),
      }]
      : []
  );
  console.log(markdownTable(rowsOf));
  console.log(
    `The roof: ${roof.toFixed(0)} GFLOP/s, at ${(operations / 1e9).toFixed(3)} GFLOP a token ${
      (roof * 1e9 / operations).toFixed(0)
    } tokens/s.`,
  );
  if (plain) {
    for (const [name, { losses }] of [["kept", kept], ["recomputed", recomputed]] as const) {
      const largest = Math.max(...losses.map((loss, i) => Math.abs(loss - plain.losses[i])));
      console.log(
        `Losses of ${losses.length} steps, ${name} and PEFT f32: at most ${largest.toExponential(1)} apart.`,
      );
    }
  }
  const speed = (side: Training | undefined) => side && { ...side, speed: side.tokensPerSecond };
  console.log(verdict("Kept beside PEFT f32", speed(kept)!, speed(plain)));
  console.log(verdict("Recomputed beside PEFT with checkpointing", speed(recomputed)!, speed(sides[3][1])));
} finally {
  await Deno.remove(folder, { recursive: true });
}
