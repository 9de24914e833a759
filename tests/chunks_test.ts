// Prompts in chunks: how they are cut, and that long ones give the same answers as their logits, whichever way they are read.
import assert from "node:assert/strict";
import { parseConfig } from "../lib/models/config.ts";
import { chunksOf, positionsAtOnce, rangesOf } from "../lib/generate/chunks.ts";
import { generate } from "../lib/generate/generate.ts";
import { initModel } from "../lib/models/init.ts";
import { quantizeNF4 } from "../lib/quantize/quantize.ts";
import { logits } from "../lib/train/inspect.ts";
import { devices } from "./devices.ts";

const config = parseConfig({
  model_type: "llama",
  vocab_size: 96,
  hidden_size: 64,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 4096,
  initializer_range: 0.25,
});

Deno.test("whole prompts share a chunk, long ones go in parts of their own, ends keep the streams' order", () => {
  const chunks = chunksOf([3, 4, 5, 25, 2], 10);
  const shapes = chunks.map((
    { isPart, slots, ends },
  ) => [isPart, slots.length, ends.map(({ stream }) => stream)]);
  assert.deepEqual(shapes, [[false, 7, [0, 1]], [false, 5, [2]], [true, 10, []], [true, 10, []], [true, 5, [
    3,
  ]], [
    false,
    2,
    [4],
  ]]);
  assert.deepEqual(chunks[0].ends, [{ place: 2, stream: 0 }, { place: 6, stream: 1 }]);
  assert.deepEqual(rangesOf(chunks[0], config, false).slice(6, 10), [3, 4, 3, 5]);
  assert.deepEqual(rangesOf(chunks[3], config, true).slice(0, 4), [0, 10, 0, 11]);
  const windowed = rangesOf(chunks[3], { ...config, slidingWindow: 4 }, false);
  assert.deepEqual(windowed.slice(0, 2), [7, 11]);
});

for (const device of await devices()) {
  const read = async (slidingWindow: number | null, nf4: boolean, builtIn: boolean) => {
    const model = await initModel({ ...config, slidingWindow }, { device, seed: 3 });
    const used = nf4 ? await quantizeNF4(model) : model;
    const lengths = [positionsAtOnce + 500, 40, 2 * positionsAtOnce + 3];
    const prompts = lengths.map((length, i) =>
      Array.from({ length }, (_, j) => (7 * i + j * j + 5 * j) % 96)
    );
    const expected = [];
    for (const prompt of prompts) {
      const { data } = await logits(used, prompt), last = data.subarray(data.length - 96);
      expected.push([last.indexOf(Math.max(...last))]);
    }
    const { systemMemoryInfo } = Deno;
    if (!builtIn) Deno.systemMemoryInfo = () => ({ ...systemMemoryInfo(), available: 0 });
    try {
      const options = { maxNewTokens: 1, eosTokenIds: [] };
      assert.deepEqual(await generate(used, prompts, options), expected);
      assert.deepEqual(await generate(used, prompts[2], options), expected[2]);
    } finally {
      Deno.systemMemoryInfo = systemMemoryInfo;
    }
  };
  const test = (what: string, ...how: Parameters<typeof read>) =>
    Deno.test(`${device.backend}: long prompts in parts, ${what}`, () => read(...how));
  test("block by block", null, false, false);
  test("in a sliding window", 300, false, false);
  if (device.backend === "webgpu") continue;
  test("through the decoder's program", null, false, true);
  test("through the decoder's program in a sliding window", 300, false, true);
  test("from NF4", null, true, true);
}
