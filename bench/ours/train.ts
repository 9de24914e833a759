// Our side of training: LoRA r=16 alpha=32 on q, k, v and o. Same options and fields as ../rivals/peft_train.py, and:
//   --layout packed|padded   --activations auto|kept|recomputed   --quantize nf4   --adapter FOLDER   --save-adapter FOLDER
// The first step is kept out of the speed (it compiles the programs). tokens = real, unpadded.
import { parseArgs } from "@std/cli";
import {
  adamW,
  attachLoRA,
  type Batch,
  batchOf,
  loadAdapter,
  loadModel,
  type Model,
  openDevice,
  processMemory,
  saveAdapter,
  type TokenRow,
  trainEpoch,
} from "../../mod.ts";
import { byteLength, type Tensor } from "../../lib/engine/tensor.ts";

const options = parseArgs(Deno.args, {
  string: ["model", "rows", "layout", "activations", "quantize", "adapter", "save-adapter"],
  default: {
    "batch-size": 4,
    "max-length": 512,
    steps: 8,
    layout: "packed",
    activations: "auto",
    "learning-rate": 2e-4,
    threads: navigator.hardwareConcurrency,
  },
});

/** Batch by batch; beyond the last row it begins again with the first. */
function batchesOf(rows: TokenRow[]): Batch[] {
  const { steps, layout, "batch-size": size } = options;
  return Array.from({ length: steps }, (_, step) => {
    const chosen = Array.from({ length: size }, (_, i) => rows[(step * size + i) % rows.length]);
    return batchOf(chosen, { layout });
  });
}

function readRows(): TokenRow[] {
  const rows: (number[] | { inputIds: number[]; labels?: number[] })[] = JSON.parse(
    Deno.readTextFileSync(options.rows),
  );
  const cut = (ids: number[]) => ids.slice(0, options["max-length"]);
  return rows.map((row) =>
    Array.isArray(row)
      ? { inputIds: cut(row) }
      : { inputIds: cut(row.inputIds), labels: cut(row.labels ?? row.inputIds) }
  );
}

/** Bytes of the base's weights as they lie in memory. */
function weightBytes(model: Model): number {
  const tensors = [...model.weights.values()].flatMap((weight): Tensor[] =>
    weight.kind === "dense" ? [weight.tensor] : [weight.codes, ...Object.values(weight.scales)]
  );
  return tensors.reduce((sum, tensor) => sum + byteLength(tensor), 0);
}

const device = await openDevice({ backend: "cpu", threads: options.threads });
const loadBegan = performance.now();
const base = await loadModel(options.model, {
  device,
  quantize: options.quantize === "nf4" ? "nf4" : undefined,
});
const loadSeconds = (performance.now() - loadBegan) / 1000;
const loadedBytes = processMemory().peak;
const lora = { r: 16, alpha: 32, targetModules: ["q_proj", "k_proj", "v_proj", "o_proj"], quiet: true };
const model = options.adapter ? await loadAdapter(base, options.adapter) : attachLoRA(base, lora);
if (options["save-adapter"]) await saveAdapter(model, options["save-adapter"]);

const batches = batchesOf(readRows());
const seconds: number[] = [], losses: number[] = [];
let began = performance.now();
await trainEpoch(model, batches, {
  optimizer: adamW(model, { learningRate: options["learning-rate"] }),
  checkpointing: options.activations === "auto" ? undefined : options.activations === "recomputed",
  quiet: true,
  onStep({ loss }) {
    losses.push(loss);
    seconds.push((performance.now() - began) / 1000);
    began = performance.now();
  },
});
const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
const first = options.steps > 1 ? 1 : 0;
const tokens = batches.map((batch) => batch.tokens);
const positions = sum(batches.map(({ inputIds }) => inputIds.length));
console.log(JSON.stringify({
  tokensPerSecond: sum(tokens.slice(first)) / sum(seconds.slice(first)),
  secondsPerStep: sum(seconds.slice(first)) / (options.steps - first),
  firstStepSeconds: seconds[0],
  totalSeconds: sum(seconds),
  tokens: sum(tokens),
  positions,
  filled: sum(tokens) / positions,
  loadSeconds,
  loadedBytes,
  weightBytes: weightBytes(model),
  peakBytes: processMemory().peak,
  losses,
}));
