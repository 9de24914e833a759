// A TinyLlama-shaped model with random weights, for speed and memory alone.
import { join } from "@std/path";
import { type TensorData, toFloat16, writeSafetensors } from "../lib/formats/safetensors.ts";
import { parameterShapes } from "../lib/models/config.ts";
import { parseConfig, seededRandom } from "../mod.ts";

/** Its config.json, with so many layers (TinyLlama has 22). */
export const tinyLlama = (layers = 22) => ({
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: 32000,
  hidden_size: 2048,
  intermediate_size: 5632,
  num_hidden_layers: layers,
  num_attention_heads: 32,
  num_key_value_heads: 4,
  hidden_act: "silu",
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  max_position_embeddings: 2048,
  tie_word_embeddings: false,
  torch_dtype: "float16",
});

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

/** Random weights as Transformers saves a large model: f16, shards of a quarter each, and their index; kept if they are there. */
export async function writeTinyLlama(folder: string, layers?: number): Promise<void> {
  if (await Deno.stat(join(folder, "config.json")).catch(() => undefined)) return;
  await Deno.mkdir(folder, { recursive: true });
  const config = parseConfig(tinyLlama(layers));
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
  await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify(tinyLlama(layers)));
}
