// Drawing tokens: frequencies against the probabilities of transformers' processors, and where the random numbers come from.
import assert from "node:assert/strict";
import type { Device } from "../lib/engine/device.ts";
import type { PickAttributes } from "../lib/engine/ops/pick_token.ts";
import { pickGraph } from "../lib/generate/graphs.ts";
import { uniform } from "../lib/generate/pick.ts";
import { devices } from "./devices.ts";
import { readJson } from "./references.ts";

for (const device of await devices()) {
  Deno.test(`${device.backend}: tokens are drawn as often as transformers' processors say`, async () => {
    interface Sampling {
      logits: number[];
      past: number[];
      settings: PickAttributes;
      stages: { after: keyof PickAttributes; probabilities: number[] }[];
      withoutNgramRule: number[];
    }
    const { logits, past, settings, stages, withoutNgramRule } = await readJson<Sampling>(
      "llama_extras",
      "sampling.json",
    );
    const off = { temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1, noRepeatNgramSize: 0 };
    let attributes: PickAttributes = off;
    for (const { after, probabilities } of stages) {
      attributes = { ...attributes, [after]: settings[after] };
      await assertFrequencies(device, logits, past, attributes, probabilities, after);
    }
    attributes = { ...settings, noRepeatNgramSize: 0 };
    await assertFrequencies(device, logits, past, attributes, withoutNgramRule, "without the n-gram rule");
  });
}

/** Draws with numbers that cover [0, 1) evenly, so that frequencies are probabilities to one in their count. */
async function assertFrequencies(
  device: Device,
  logits: number[],
  past: number[],
  attributes: PickAttributes,
  probabilities: number[],
  what: string,
): Promise<void> {
  const draws = 1024, vocabulary = logits.length, width = past.length + 1;
  const repeat = (row: number[]) => Array.from({ length: draws }, () => row).flat();
  const inputs = {
    logits: device.upload(Float32Array.from(repeat(logits)), [draws, vocabulary], "f32"),
    history: device.upload(Int32Array.from(repeat([...past, 0])), [draws, width], "i32"),
    lengths: device.upload(new Int32Array(draws).fill(past.length), [draws], "i32"),
    random: device.upload(Float32Array.from({ length: draws }, (_, i) => (i + 0.5) / draws), [draws], "f32"),
  };
  const program = await device.compile(pickGraph(vocabulary, attributes));
  const outputs = await program.run(inputs);
  const [ids] = await device.read(outputs.ids);
  const counts = new Float64Array(vocabulary);
  for (const id of ids) counts[id]++;
  counts.forEach((count, id) => {
    const difference = Math.abs(count / draws - probabilities[id]);
    assert.ok(difference < 1e-3, `${what}: token ${id} ${count / draws}, expected ${probabilities[id]}`);
    assert.ok(probabilities[id] > 0 || count === 0, `${what}: token ${id} must never be drawn`);
  });
  const owned = new Map([...Object.values(inputs), ...Object.values(outputs)].map((t) => [t.storage, t]));
  device.free(...owned.values());
  program.close();
}

Deno.test("random numbers fill [0, 1) evenly, from the first of the first stream of seed 0 on", () => {
  const numbers: number[] = [];
  for (let seed = 0; seed < 4; seed++) {
    for (let stream = 0; stream < 8; stream++) {
      for (let step = 0; step < 256; step++) numbers.push(uniform(seed, stream, step));
    }
  }
  assert.ok(uniform(0, 0, 0) > 0);
  assert.ok(new Set(numbers).size > numbers.length - 16);
  const tenths = new Array(10).fill(0);
  for (const number of numbers) tenths[Math.floor(10 * number)]++;
  for (const count of tenths) assert.ok(Math.abs(count / numbers.length - 0.1) < 0.01, `${tenths}`);
});
