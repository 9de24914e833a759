// DoRA, trained biases, PiSSA, LoftQ, LoRA+ and NEFTune against PEFT (tests/reference/lora_extras.py): logits, gradients of all
// that is trained, 20 steps, the files both ways.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { batchOf } from "../lib/data/batch.ts";
import { UserError } from "../lib/errors.ts";
import { generate } from "../lib/generate/generate.ts";
import { adapterShapes } from "../lib/lora/shapes.ts";
import { largestSingular } from "../lib/lora/svd.ts";
import { attachLoRA, countTrainable, type LoRAOptions, useAdapter } from "../lib/lora.ts";
import { freeModel, removeAdapter } from "../lib/models/free.ts";
import { loadModel } from "../lib/models/load.ts";
import { activeAdapter, type Model } from "../lib/models/model.ts";
import { loadAdapter, saveAdapter } from "../lib/peft.ts";
import { quantizeNF4 } from "../lib/quantize/quantize.ts";
import { adamW } from "../lib/train/adamw.ts";
import { evaluateLoss, trainEpoch } from "../lib/train/epoch.ts";
import { gradients, logits } from "../lib/train/inspect.ts";
import { embeddingNoise } from "../lib/train/neftune.ts";
import type { StepReport } from "../lib/train/optimizer_step.ts";
import { lossAndGradients } from "../lib/train/step.ts";
import { devices } from "./devices.ts";
import {
  assertClose,
  assertTrace,
  type Cases,
  readCases,
  readJson,
  readTensors,
  referenceFolder,
  type Trace,
} from "./references.ts";

const userError = (pattern: RegExp) => (error: unknown) =>
  error instanceof UserError && pattern.test(error.message) || assert.fail(String(error));

interface Case {
  base: string;
  trainable: number;
  adapterLoss: number;
  loraplusLrRatio: number | null;
  training: Cases["training"];
  trace: Trace;
}

/**
 * PEFT decomposes in float32: its B A is up to 4e-6 off the best one, and so is the base that it takes off; ours is not.
 */
const slack = (name: string): number => name === "pissa" ? 10 : 1;

const names = ["dora", "dora_nf4", "bias_all", "bias_lora_only_dora", "loraplus", "pissa", "loftq"];
const folderOf = (name: string) => referenceFolder(join("lora_extras", name));
const modelOf = (name: string) => join(referenceFolder(name), "model");
const { rows } = await readCases("llama_tied");

async function tensorsOf(model: Model): Promise<Map<string, Float32Array>> {
  const { parameters } = activeAdapter(model)!;
  const data = await model.device.read(...parameters.values());
  return new Map([...parameters.keys()].map((name, i) => [name, (data[i] as Float32Array).slice()]));
}

for (const device of await devices()) {
  for (const name of names) {
    Deno.test(`${device.backend}: ${name}: PEFT's adapter gives PEFT's logits, gradients and 20 steps`, async () => {
      const { base: folder, trainable, adapterLoss, loraplusLrRatio, training, trace } = await readJson<Case>(
        join("lora_extras", name),
        "cases.json",
      );
      const expected = await readTensors(join(folderOf(name), "expected.safetensors"));
      const base = await loadModel(modelOf(folder), { device, dtype: "f32" });
      const model = await loadAdapter(base, folderOf(name));
      assert.equal(countTrainable(model).trainable, trainable);
      for (const i of [1, 3]) {
        const { data } = await logits(model, rows[i].inputIds);
        assertClose(data, expected.get(`adapterLogits.${i}`), 1e-4 * slack(name), `logits of row ${i}`);
      }
      for (const checkpointing of [true, false]) {
        const found = await gradients(model, batchOf(rows), { checkpointing });
        assertClose([found.loss], [adapterLoss], 1e-5 * slack(name), "loss");
        const wanted = [...expected.keys()].filter((key) => key.startsWith("gradient."));
        assert.deepEqual(
          Object.keys(found.gradients).sort(),
          wanted.map((key) => key.slice("gradient.".length)).sort(),
        );
        for (const [key, data] of Object.entries(found.gradients)) {
          assertClose(data, expected.get(`gradient.${key}`), 1e-5 * slack(name), key);
        }
      }
      const reports: StepReport[] = [];
      await trainEpoch(model, training.batches.map((batch) => batchOf(batch.map((row) => rows[row]))), {
        optimizer: adamW(model, {
          ...training,
          learningRate: (step) => trace.learningRates[step],
          loraplusLrRatio: loraplusLrRatio ?? undefined,
        }),
        quiet: true,
        onStep: (report) => reports.push(report),
      });
      assertTrace(reports, trace, 1e-4 * slack(name));
      freeModel(model);
    });
  }

  Deno.test(`${device.backend}: PiSSA and LoftQ start as PEFT's, up to signs`, async () => {
    const options: Record<string, LoRAOptions> = {
      pissa: { r: 6, alpha: 9, targetModules: ["q_proj", "v_proj", "down_proj"], initLoraWeights: "pissa" },
      loftq: { r: 4, alpha: 4, targetModules: ["q_proj", "down_proj"], initLoraWeights: "loftq" },
    };
    const base = await loadModel(modelOf("llama_tied"), { device, dtype: "f32" });
    const before = (await logits(base, rows[1].inputIds)).data.slice();
    for (const [name, settings] of Object.entries(options)) {
      const model = await attachLoRA(base, { ...settings, quiet: true });
      const found = await tensorsOf(model);
      const expected = await readTensors(join(folderOf(name), "adapter_model.safetensors"));
      assert.deepEqual([...found.keys()].sort(), [...expected.keys()].sort());
      for (const [key, shape] of adapterShapes(base.config, activeAdapter(model)!.config)) {
        const [mine, theirs] = [found, expected].map((tensors) => unsigned(tensors.get(key)!, shape, key));
        assertClose(mine, theirs, 2e-5, key);
      }
      // PiSSA only rearranges the weights; LoftQ's are nearer to the old ones than NF4 is.
      const after = (await logits(model, rows[1].inputIds)).data;
      if (name === "pissa") assertClose(after, before, 1e-4, "PiSSA's logits");
      else {
        const { targetModules } = settings;
        const bare = { targetModules, r: 4, quiet: true, initLoraWeights: "loftq" } as const;
        const other = await attachLoRA(base, { ...bare, loftqIter: 5 });
        assert.notDeepEqual(await tensorsOf(other), found);
      }
      // The base answers as before; another adapter works on it, too; and back.
      const bare = useAdapter(model, undefined);
      assert.deepEqual((await logits(bare, rows[1].inputIds)).data, before);
      const beside = attachLoRA(model, { name: "b", quiet: true });
      assert.deepEqual((await logits(beside, rows[1].inputIds)).data, before);
      assert.deepEqual((await logits(useAdapter(beside, "default"), rows[1].inputIds)).data, after);
      assert.deepEqual((await logits(removeAdapter(model, "default"), rows[1].inputIds)).data, before);
    }
    assert.deepEqual((await logits(base, rows[1].inputIds)).data, before, "the model passed in is as it was");
    const buffers = device.memory().buffers;
    removeAdapter(await attachLoRA(base, { ...options.pissa, useDora: true, quiet: true }), "default");
    assert.equal(device.memory().buffers, buffers, "its own weights go with an adapter");
    // QPiSSA: what is left of the weights is quantised, the base is not.
    const pissa = await attachLoRA(base, { ...options.pissa, quiet: true });
    const small = await quantizeNF4(pissa), ids = rows[1].inputIds;
    assert.equal(small.weights.get("model.layers.0.self_attn.q_proj.weight")!.kind, "nf4");
    assert.notDeepEqual((await logits(small, ids)).data, (await logits(pissa, ids)).data);
    assert.deepEqual((await logits(useAdapter(small, undefined), ids)).data, before);
    const quantised = await quantizeNF4(base, { keep: true });
    await assert.rejects(
      attachLoRA(quantised, { initLoraWeights: "pissa", quiet: true }),
      userError(/starts from the unquantised weights, but .*q_proj\.weight is NF4/),
    );
  });

  Deno.test(`${device.backend}: DoRA starts at the base's lengths, and generates as it scores`, async () => {
    for (const folder of ["llama_tied", "llama_nf4"]) {
      const base = await loadModel(modelOf(folder), { device, dtype: "f32" });
      const fresh = await attachLoRA(base, { r: 4, useDora: true, targetModules: "all-linear", quiet: true });
      const ids = rows[1].inputIds;
      assertClose(
        (await logits(fresh, ids)).data,
        (await logits(base, ids)).data,
        1e-4,
        "logits at the start",
      );
      const reference = folder === "llama_nf4" ? "dora_nf4" : "dora";
      const model = await loadAdapter(base, folderOf(reference));
      const buffers = device.memory().buffers;
      const [answer] = await generate(model, [ids], { maxNewTokens: 6, eosTokenIds: [] });
      let text = [...ids];
      for (const _ of [1, 2, 3, 4, 5, 6]) {
        const { data, shape: [, vocabulary] } = await logits(model, text);
        const last = data.subarray(data.length - vocabulary);
        text = [...text, last.indexOf(last.reduce((most, x) => Math.max(most, x)))];
      }
      if (folder === "llama_tied" || device.backend === "webgpu") {
        assert.deepEqual([...answer as ArrayLike<number> as number[]], text.slice(ids.length));
      }
      assert.ok(device.memory().buffers - buffers <= 60, "the ready magnitudes are given back");
    }
  });

  Deno.test(`${device.backend}: DoRA with dropout that drops nothing is DoRA without`, async () => {
    const base = await loadModel(modelOf("qwen2_bias"), { device, dtype: "f32" });
    const model = await loadAdapter(base, folderOf("bias_lora_only_dora"));
    const adapter = activeAdapter(model)!, config = { ...adapter.config, dropout: 1e-8 };
    const adapters = new Map([["default", { ...adapter, config }]]), dropping = { ...model, adapters };
    const plain = await gradients(model, batchOf(rows));
    const other = await gradients(dropping, batchOf(rows), { dropout: { seed: 1, step: 1 } });
    assertClose([other.loss], [plain.loss], 1e-5, "loss");
    for (const [name, data] of Object.entries(plain.gradients)) {
      assertClose(other.gradients[name], data, 1e-5, name);
    }
    const half = {
      ...dropping,
      adapters: new Map([["default", { ...adapter, config: { ...config, dropout: 0.5 } }]]),
    };
    const drawn = await gradients(half, batchOf(rows), { dropout: { seed: 1, step: 1 } });
    assert.ok(Math.abs(drawn.loss - plain.loss) > 1e-4);
  });

  Deno.test(`${device.backend}: NEFTune is noise on the embeddings`, async () => {
    const base = await loadModel(modelOf("llama_tied"), { device, dtype: "f32" });
    const model = attachLoRA(base, { r: 2, quiet: true, targetModules: ["o_proj"] });
    const inputIds = [1, 9, 17, 33, 52, 70, 81], batch = batchOf([{ inputIds }]); // every token once
    const key = { seed: 3, step: 5 }, alpha = 20;
    const noise = embeddingNoise(base.config, batch, { alpha, key });
    const weight = base.weights.get("model.embed_tokens.weight")!, headed = new Map(base.weights);
    assert.ok(weight.kind === "dense");
    const [table] = await device.read(weight.tensor), moved = (table as Float32Array).slice();
    inputIds.forEach((id, t) => {
      for (let c = 0; c < 64; c++) moved[id * 64 + c] += noise[t * 64 + c];
    });
    // A head of its own, so that only the embeddings move.
    headed.set("lm_head.weight", weight);
    headed.set("model.embed_tokens.weight", {
      kind: "dense",
      tensor: device.upload(moved, [120, 64], "f32"),
    });
    const noisy = { ...model, weights: headed };
    for (const checkpointing of [true, false]) {
      const settings = { lossScale: 1, checkpointing, dropout: key };
      const [mine, plain, expected] = [
        await lossAndGradients(model, batch, { ...settings, neftuneNoiseAlpha: alpha }),
        await lossAndGradients(model, batch, settings),
        await lossAndGradients(noisy, batch, settings),
      ];
      const losses = await device.read(mine.loss, plain.loss, expected.loss);
      assertClose([losses[0][0]], [losses[2][0]], 1e-5, "loss with noise");
      assert.ok(Math.abs(losses[0][0] - losses[1][0]) > 1e-3);
    }
    // A step is noisy, an evaluation is not.
    const step = async (neftuneNoiseAlpha?: number) => {
      const optimizer = adamW(model, { learningRate: 0 });
      const { loss } = await trainEpoch(model, [batch], { optimizer, quiet: true, neftuneNoiseAlpha });
      return loss;
    };
    assert.equal(await step(0), await step());
    assert.notEqual(await step(5), await step());
    assertClose([await evaluateLoss(model, [batch])], [await step()], 1e-6, "evaluation");
    await assert.rejects(step(-1), userError(/neftuneNoiseAlpha is -1/));
  });
}

/** Rows of A and columns of B may be negative of PEFT's: the sign of each is set by its largest entry. */
function unsigned(matrix: Float32Array, [rows, columns]: number[], name: string): Float32Array {
  const result = matrix.slice(), isA = name.includes("lora_A");
  const [count, length] = isA ? [rows, columns] : [columns, rows];
  for (let k = 0; k < count; k++) {
    const at = (i: number) => isA ? k * columns + i : i * columns + k;
    let largest = 0;
    for (let i = 0; i < length; i++) {
      if (Math.abs(result[at(i)]) > Math.abs(largest) * (1 + 1e-3)) largest = result[at(i)];
    }
    if (largest < 0) { for (let i = 0; i < length; i++) result[at(i)] *= -1; }
  }
  return result;
}

Deno.test("what is saved equals what PEFT saved, field by field and tensor by tensor", async () => {
  const [cpu] = await devices();
  for (const name of names) {
    const { base } = await readJson<Case>(join("lora_extras", name), "cases.json");
    const model = await loadAdapter(await loadModel(modelOf(base), { device: cpu }), folderOf(name));
    const folder = await Deno.makeTempDir();
    await saveAdapter(model, folder);
    const saved = JSON.parse(await Deno.readTextFile(join(folder, "adapter_config.json")));
    const theirs = await readJson<Record<string, unknown>>(join("lora_extras", name), "adapter_config.json");
    for (const [field, value] of Object.entries(saved)) {
      if (field === "base_model_name_or_path" || field === "task_type") continue;
      assert.deepEqual(value, theirs[field] ?? value, `${name}: ${field}`);
    }
    for (const field of ["use_dora", "bias", "init_lora_weights", "loftq_config"]) {
      if (theirs[field] && JSON.stringify(theirs[field]) !== "{}") {
        assert.deepEqual(saved[field], theirs[field], `${name}: ${field}`);
      }
    }
    const [mine, expected] = await Promise.all(
      [folder, folderOf(name)].map((path) => readTensors(join(path, "adapter_model.safetensors"))),
    );
    assert.deepEqual([...mine.keys()].sort(), [...expected.keys()].sort());
    for (const [key, data] of mine) assert.deepEqual(data, expected.get(key), key);
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a gaussian A has deviation 1 / r and a zero B", async () => {
  const [cpu] = await devices();
  const base = await loadModel(modelOf("llama_tied"), { device: cpu });
  const model = attachLoRA(base, {
    r: 32,
    initLoraWeights: "gaussian",
    targetModules: "all-linear",
    quiet: true,
  });
  for (const [name, data] of await tensorsOf(model)) {
    if (name.includes("lora_B")) assert.ok(data.every((x) => x === 0));
    else {
      const mean = data.reduce((sum, x) => sum + x, 0) / data.length;
      const square = data.reduce((sum, x) => sum + x * x, 0) / data.length;
      const fourth = data.reduce((sum, x) => sum + x ** 4, 0) / data.length;
      assertClose([mean * 32, Math.sqrt(square) * 32, fourth / square ** 2], [0, 1, 3], 0.35, name);
      assertClose([Math.sqrt(square) * 32], [1], 0.05, name);
    }
  }
});

Deno.test("NEFTune's noise is uniform in +-alpha / sqrt(length * width), wherever a row lies", () => {
  const config = { hiddenSize: 512, embeddingScale: 1 }, alpha = 5, key = { seed: 1, step: 2 };
  const [long, short] = [80, 20].map((length) => Array.from({ length }, (_, i) => i + 1));
  const examples = [long, short].map((inputIds, row) => ({ inputIds, row }));
  const packed = batchOf(examples, { layout: "packed" }), padded = batchOf(examples, { layout: "padded" });
  const noise = embeddingNoise(config, packed, { alpha, key });
  const part = (data: Float32Array, from: number, tokens: number) =>
    data.subarray(from * 512, (from + tokens) * 512);
  for (const [from, length] of [[0, 80], [80, 20]]) {
    const values = part(noise, from, length), most = alpha / Math.sqrt(length * 512);
    const largest = values.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
    assert.ok(largest <= most && largest > 0.999 * most);
    const bins = new Array(16).fill(0);
    for (const x of values) bins[Math.floor((x / most + 1) * 8)]++;
    const expected = values.length / 16;
    const chiSquare = bins.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    assert.ok(chiSquare < 37.7, `chi-square of 15 degrees: ${chiSquare}`); // 0.1 %
  }
  assert.ok(part(noise, 100, packed.inputIds.length - 100).every((x) => x === 0), "padding has none");
  const other = embeddingNoise(config, padded, { alpha, key });
  assert.deepEqual(part(other, 80, 20), part(noise, 80, 20));
  assert.deepEqual(embeddingNoise(config, packed, { alpha, key }), noise);
  assert.notDeepEqual(embeddingNoise(config, packed, { alpha, key: { seed: 1, step: 3 } }), noise);
});

Deno.test("the largest singular values and vectors, also of low rank and of equal values", () => {
  let state = 1;
  const random = () => (state = (state * 16807) % 2147483647) / 2147483647 - 0.5;
  const full = Float32Array.from({ length: 90 * 60 }, random);
  const lowRank = new Float32Array(50 * 70);
  for (let k = 0; k < 3; k++) {
    const a = Array.from({ length: 50 }, random), b = Array.from({ length: 70 }, random);
    a.forEach((x, i) => b.forEach((y, j) => lowRank[i * 70 + j] += x * y));
  }
  const identity = Float32Array.from({ length: 40 * 40 }, (_, i) => Number(i % 41 === 0));
  const matrices: [Float32Array, number, number, number][] = [
    [full, 90, 60, 7],
    [lowRank, 50, 70, 5],
    [identity, 40, 40, 6],
  ];
  for (const [data, rows, columns, count] of matrices) {
    const { u, s, v } = largestSingular({ data, rows, columns }, count);
    for (let k = 0; k < count; k++) {
      const image = Array.from({ length: rows }, (_, i) => {
        let sum = 0;
        for (let j = 0; j < columns; j++) sum += data[i * columns + j] * v[k][j];
        return sum;
      });
      assertClose(image, Array.from(u[k], (x) => x * s[k]), 1e-6, `vector ${k}`);
      if (k > 0) assert.ok(s[k] <= s[k - 1] + 1e-9);
    }
  }
  assert.ok(largestSingular({ data: lowRank, rows: 50, columns: 70 }, 5).s[3] < 1e-5);
});

Deno.test("what cannot be is refused by name", async () => {
  const [cpu] = await devices();
  const base = await loadModel(modelOf("llama_tied"), { device: cpu });
  const attach = (model: Model, options: Record<string, unknown>) => () =>
    attachLoRA(model, { quiet: true, ...options } as LoRAOptions);
  const refused: [() => unknown, RegExp][] = [
    [attach(base, { bias: "some" }), /bias is "some"; it is "none", "all" or "lora_only"/],
    [attach(base, { initLoraWeights: "olora" }), /initLoraWeights "olora" is not supported/],
    [attach(base, { initLoraWeights: "loftq", loftqIter: 0 }), /loftqIter is 0/],
    [() => adamW(base, { learningRate: 1, loraplusLrRatio: 16 }), /attach an adapter first/],
    [
      () => adamW(attachLoRA(base, { quiet: true }), { learningRate: 1, loraplusLrRatio: -1 }),
      /loraplusLrRatio is -1/,
    ],
  ];
  for (const [call, pattern] of refused) assert.throws(call, userError(pattern));
  const dora = await attachLoRA(base, { useDora: true, quiet: true });
  await assert.rejects(quantizeNF4(dora, { keep: true }), userError(/quantise the model first/));
});

Deno.test("DoRA is T5's too: a new one answers as the base", async () => {
  for (const device of await devices()) {
    const t5 = await loadModel(modelOf("t5_gated_untied"), { device });
    const model = await attachLoRA(t5, { r: 2, useDora: true, targetModules: ["q", "v", "wo"], quiet: true });
    const options = { maxNewTokens: 4, eosTokenIds: [] };
    assert.deepEqual(await generate(model, [5, 6, 7], options), await generate(t5, [5, 6, 7], options));
    const names = [...activeAdapter(model)!.parameters.keys()];
    assert.ok(
      names.includes("base_model.model.decoder.block.1.layer.1.EncDecAttention.v.lora_magnitude_vector"),
    );
    assert.throws(
      () => attachLoRA(t5, { bias: "all" as "none" }),
      userError(/T5's tables of relative positions/),
    );
  }
});
