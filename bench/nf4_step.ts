// A 512-token LoRA step of a TinyLlama-shaped model (1.1 B random weights) in NF4 on the CPU: seconds, resident bytes of the
// weights, and peak memory with the loading in it, which must stay within 4 GB. Beside it PEFT over bitsandbytes' NF4.
//   deno run -A bench/nf4_step.ts [--steps 3] [--length 512] [--layers 22] [--keep FOLDER] [--no-rival]
// The model is written to a temporary folder (2.2 GB, f16, in shards), or to FOLDER, where a later run finds it.
import { join } from "@std/path";
import { markdownTable, type ModelConfig, parseConfig, seededRandom } from "../mod.ts";
import { parameterShapes } from "../lib/models/config.ts";
import { type TensorData, toFloat16, writeSafetensors } from "../lib/formats/safetensors.ts";
import { gigabytes, machine, type Memory, ours, parseArgs, rival, verdict } from "./sides.ts";

interface Training extends Memory {
  tokensPerSecond: number;
  secondsPerStep: number;
  firstStepSeconds: number;
  loadSeconds: number;
  loadedBytes: number;
  weightBytes?: number;
  losses: number[];
}

const options = parseArgs(Deno.args, {
  string: ["keep"],
  boolean: ["rival"],
  negatable: ["rival"],
  default: { steps: 3, length: 512, layers: 22, rival: true },
});

const tinyLlama = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: 32000,
  hidden_size: 2048,
  intermediate_size: 5632,
  num_hidden_layers: options.layers,
  num_attention_heads: 32,
  num_key_value_heads: 4,
  hidden_act: "silu",
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  max_position_embeddings: 2048,
  tie_word_embeddings: false,
  torch_dtype: "float16",
};

/** f16 bits of normal numbers, drawn from a table of 65,536 of them. */
function halves(count: number, random: () => number, table: Uint16Array): Uint8Array {
  const bits = new Uint16Array(count);
  let state = Math.floor(random() * 2 ** 32) | 1;
  for (let i = 0; i < count; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bits[i] = table[state >>> 16];
  }
  return new Uint8Array(bits.buffer);
}

/** Random weights as Transformers saves a large model: f16, shards of a quarter each, and their index. */
async function writeModel(folder: string, config: ModelConfig): Promise<void> {
  const random = seededRandom(1);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const table = new Uint16Array(
    toFloat16(Float32Array.from({ length: 2 ** 16 }, () => 0.02 * normal())).buffer,
  );
  const ones = (count: number) => new Uint8Array(new Uint16Array(count).fill(0x3c00).buffer);
  const shapes = [...parameterShapes(config)];
  const shards = 4, perShard = Math.ceil(shapes.length / shards);
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-0000${shard + 1}-of-0000${shards}.safetensors`;
    const tensors = new Map<string, TensorData>();
    for (const [name, shape] of shapes.slice(shard * perShard, (shard + 1) * perShard)) {
      const count = shape.reduce((product, size) => product * size, 1);
      const data = () => shape.length === 1 ? ones(count) : halves(count, random, table);
      tensors.set(name, { dtype: "F16", shape, data });
      weightMap[name] = file;
    }
    await writeSafetensors(join(folder, file), tensors, { format: "pt" });
  }
  const index = { metadata: {}, weight_map: weightMap };
  await Deno.writeTextFile(join(folder, "model.safetensors.index.json"), JSON.stringify(index));
  await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify(tinyLlama));
}

const folder = options.keep ?? await Deno.makeTempDir();
const scratch = await Deno.makeTempDir();
try {
  const config = parseConfig(tinyLlama);
  const written = await Deno.stat(join(folder, "config.json")).catch(() => undefined);
  if (!written) {
    await Deno.mkdir(folder, { recursive: true });
    await writeModel(folder, config);
  }
  const random = seededRandom(0);
  const row = Array.from({ length: options.length }, () => 5 + Math.floor(random() * (config.vocabSize - 5)));
  const rows = join(scratch, "rows.json"), adapter = join(scratch, "adapter");
  await Deno.writeTextFile(rows, JSON.stringify([row]));
  const task = {
    model: folder,
    rows,
    steps: options.steps,
    "batch-size": 1,
    "max-length": options.length,
    quantize: "nf4",
  };
  console.log(machine());
  const mine = await ours<Training>("train.ts", { ...task, "save-adapter": adapter });
  const theirs = options.rival ? await rival<Training>("peft_train.py", { ...task, adapter }) : undefined;
  const table = ([["fintune", mine], ["PEFT + bitsandbytes", theirs]] as const).flatMap(([side, result]) =>
    result
      ? [{
        side,
        "load s": result.loadSeconds.toFixed(1),
        "peak GB of loading": (result.loadedBytes / 1e9).toFixed(2),
        "weights GB": result.weightBytes ? (result.weightBytes / 1e9).toFixed(3) : undefined,
        "first step s": result.firstStepSeconds.toFixed(1),
        "step s": result.secondsPerStep.toFixed(1),
        "peak GB": (result.peakBytes / 1e9).toFixed(2),
        "first loss": result.losses[0].toFixed(4),
        "last loss": result.losses.at(-1)!.toFixed(4),
      }]
      : []
  );
  console.log(markdownTable(table));
  const within = mine.peakBytes <= 4e9 ? "within" : "ABOVE";
  console.log(`Peak memory with loading: ${gigabytes(mine.peakBytes)}, ${within} 4 GB.`);
  const speed = (side: Training | undefined) => side && { ...side, speed: side.tokensPerSecond };
  if (options.rival) console.log(verdict("Beside PEFT + bitsandbytes", speed(mine)!, speed(theirs)));
} finally {
  await Deno.remove(scratch, { recursive: true });
  if (!options.keep) await Deno.remove(folder, { recursive: true });
}
