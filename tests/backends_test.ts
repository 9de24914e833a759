// The example's first 20 training steps and one greedy answer on both backends from one seed; both traces are printed.
import assert from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { financeQuestions } from "../examples/tiny/questions.ts";
import {
  adamW,
  attachLoRA,
  Dataset,
  type Device,
  financeQA,
  generate,
  linearSchedule,
  loadModel,
  packBatches,
  quantizeNF4,
  trainEpoch,
} from "../mod.ts";
import { devices } from "./devices.ts";

const folder = fromFileUrl(new URL("../examples/tiny/model", import.meta.url));
const { train, test } = financeQuestions({ train: 2700, test: 90, seed: 42 });

async function firstSteps(device: Device): Promise<{ losses: number[]; answer: number[] }> {
  // Weights in f32 on both, and answers from the dense base: what differs is the backend alone.
  const base = await loadModel(folder, { device, dtype: "f32" });
  const question = base.tokenizer!.encode(financeQA.question(test[0]));
  const answer = await generate(base, question, { maxNewTokens: 16, eosTokenIds: [] });
  const model = attachLoRA(await quantizeNF4(base, { doubleQuant: true }), {
    r: 16,
    alpha: 32,
    dropout: 0.05,
    targetModules: ["q_proj", "k_proj", "v_proj", "o_proj"],
    quiet: true,
  });
  const layout = {
    tokenizer: base.tokenizer,
    prompt: financeQA,
    maxLength: 160,
    batchSize: 8,
    completionOnly: true,
  };
  const batches = packBatches(new Dataset(train), layout);
  const losses: number[] = [];
  await trainEpoch(model, batches, {
    optimizer: adamW(model, {
      learningRate: linearSchedule(3e-3, { warmup: batches.length / 5, total: batches.length }),
    }),
    seed: 1,
    maxSteps: 20,
    onStep: ({ loss }) => losses.push(loss),
    quiet: true,
  });
  return { losses, answer };
}

Deno.test("20 steps and a greedy answer are the same on both backends", async () => {
  const [cpu, ...gpus] = await devices();
  const expected = await firstSteps(cpu);
  console.log(`cpu    ${expected.losses.map((loss) => loss.toFixed(5)).join(" ")}`);
  assert.equal(expected.losses.length, 20);
  assert.ok(expected.losses[19] < expected.losses[0], "the loss falls");
  for (const gpu of gpus) {
    const actual = await firstSteps(gpu);
    console.log(`webgpu ${actual.losses.map((loss) => loss.toFixed(5)).join(" ")}`);
    actual.losses.forEach((loss, i) => {
      const difference = Math.abs(loss - expected.losses[i]);
      assert.ok(difference < 2e-3, `step ${i + 1} differs by ${difference}`);
    });
    assert.deepEqual(actual.answer, expected.answer);
  }
});
