// T5 against transformers and PEFT on each backend: logits, losses, gradients, training, NF4, answers, files.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { batchOf } from "../lib/data/batch.ts";
import { generate } from "../lib/generate/generate.ts";
import { attachLoRA, countTrainable } from "../lib/lora.ts";
import { countLoRA, countParameters, parseConfig } from "../lib/models/config.ts";
import { loadModel } from "../lib/models/load.ts";
import { estimateMemory } from "../lib/models/memory.ts";
import { distanceBuckets } from "../lib/models/t5.ts";
import { loadAdapter, saveAdapter } from "../lib/peft.ts";
import { quantizeNF4 } from "../lib/quantize/quantize.ts";
import { adamW } from "../lib/train/adamw.ts";
import { evaluateLoss, trainEpoch } from "../lib/train/epoch.ts";
import { gradients, logits } from "../lib/train/inspect.ts";
import { devices } from "./devices.ts";
import {
  assertClose,
  assertTrace,
  type Cases,
  readCases,
  readExpected,
  readJson,
  referenceFolder,
  runTrace,
  type Trace,
} from "./references.ts";
import { refused } from "./refused.ts";

const names = ["t5_gated_untied", "t5_tied"];
const decoderStartTokenId = 0;

interface Answers {
  generation: {
    maxNewTokens: number;
    greedyIgnoringEos: number[][];
    greedy: number[][];
    repetition: { repetitionPenalty: number; noRepeatNgramSize: number; greedy: number[][] };
    beams: { options: BeamOptions; answers: number[][] }[];
  };
}

/** transformers' names. */
interface BeamOptions {
  num_beams: number;
  length_penalty?: number;
  early_stopping?: boolean | "never";
  repetition_penalty?: number;
  no_repeat_ngram_size?: number;
}

const shiftedRight = (labels: number[]) =>
  [decoderStartTokenId, ...labels.slice(0, -1)].map((id) => id === -100 ? 0 : id);
const layoutOf = (layout: "packed" | "padded") => ({ layout, decoderStartTokenId });

for (const device of await devices()) {
  const base = (name: string) => loadModel(join(referenceFolder(name), "model"), { device });
  const tuned = async (name: string) => loadAdapter(await base(name), join(referenceFolder(name), "adapter"));

  for (const name of names) {
    Deno.test(`${device.backend}: ${name}: logits, losses and gradients as transformers`, async () => {
      const cases = await readCases(name), expected = await readExpected(name), { rows } = cases;
      const plain = await base(name),
        model = await loadAdapter(plain, join(referenceFolder(name), "adapter"));
      assert.deepEqual(countTrainable(model), {
        trainable: cases.adapterParameters,
        total: cases.parameters + cases.adapterParameters,
      });
      for (const [i, { inputIds, labels }] of rows.entries()) {
        const options = { decoderInputIds: shiftedRight(labels) };
        assertClose(
          (await logits(plain, inputIds, options)).data,
          expected.get(`logits.${i}`),
          1e-4,
          `row ${i}`,
        );
        const { data } = await logits(model, inputIds, options);
        assertClose(data, expected.get(`adapterLogits.${i}`), 1e-4, `row ${i} with the adapter`);
      }
      for (const layout of ["packed", "padded"] as const) {
        const batch = batchOf(rows, layoutOf(layout));
        assertClose([await evaluateLoss(plain, [batch])], [cases.loss], 1e-5, layout);
        for (const checkpointing of [true, false]) {
          const result = await gradients(model, batch, { checkpointing });
          assertClose([result.loss], [cases.adapterLoss], 1e-5, "loss");
          assert.equal(result.tokens, cases.trainedTokens);
          for (const [name, values] of Object.entries(result.gradients)) {
            assertClose(values, expected.get(`gradient.${name}`), 1e-5, `${layout}: ${name}`);
          }
        }
      }
    });

    Deno.test(`${device.backend}: ${name}: the gradients of all weights have transformers' norms`, async () => {
      const { rows, loss, fullGradientNorms } = await readCases(name) as Cases;
      const model = await loadModel(join(referenceFolder(name), "model"), { device, dtype: "f32" });
      const found = await gradients(model, batchOf(rows, layoutOf("packed")));
      assertClose([found.loss], [loss], 1e-5, "loss");
      assert.deepEqual(Object.keys(found.gradients).sort(), Object.keys(fullGradientNorms).sort());
      for (const [weight, values] of Object.entries(found.gradients)) {
        const norm = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0)),
          expected = fullGradientNorms[weight];
        assert.ok(
          Math.abs(norm - expected) < 1e-4 * expected,
          `${weight}: ${norm}, transformers ${expected}`,
        );
      }
    });

    Deno.test(`${device.backend}: ${name}: 20 steps of AdamW, dense and NF4`, async () => {
      const cases = await readCases(name), { training, rows } = cases, expected = await readExpected(name);
      const options = layoutOf("packed");
      const rate = (trace: Trace) => (step: number) => trace.learningRates[step];
      const dense = training.dense as Trace, nf4 = training.nf4 as Trace;
      assertTrace(
        await runTrace(await tuned(name), rows, training, rate(dense), undefined, options),
        dense,
        2e-5,
      );
      const quantized = await quantizeNF4(await base(name), {});
      const model = await loadAdapter(quantized, join(referenceFolder(name), "adapter"));
      for (const [i, { inputIds, labels }] of rows.slice(0, 2).entries()) {
        const { data } = await logits(model, inputIds, { decoderInputIds: shiftedRight(labels) });
        assertClose(data, expected.get(`nf4Logits.${i}`), 1e-4, `row ${i} in NF4`);
      }
      assertTrace(await runTrace(model, rows, training, rate(nf4), undefined, options), nf4, 2e-5);
    });

    Deno.test(`${device.backend}: ${name}: answers as transformers', greedy and of beam search`, async () => {
      const model = await base(name), { rows } = await readCases(name);
      const { generation } = await readCases(name) as Cases & Answers,
        { maxNewTokens, repetition } = generation;
      const prompts = rows.map(({ inputIds }) => inputIds);
      assert.deepEqual(await generate(model, prompts, { maxNewTokens }), generation.greedy);
      assert.deepEqual(
        await generate(model, prompts, { maxNewTokens, eosTokenIds: [], batchSize: 1 }),
        generation.greedyIgnoringEos,
      );
      for (const { options, answers } of generation.beams) {
        const found = await generate(model, prompts, {
          maxNewTokens,
          numBeams: options.num_beams,
          lengthPenalty: options.length_penalty,
          earlyStopping: options.early_stopping,
          repetitionPenalty: options.repetition_penalty,
          noRepeatNgramSize: options.no_repeat_ngram_size,
        });
        assert.deepEqual(found, answers, JSON.stringify(options));
      }
      const { greedy, ...rules } = repetition;
      assert.deepEqual(await generate(model, prompts, { maxNewTokens, ...rules }), greedy);
    });
  }

  Deno.test(`${device.backend}: steps, losses and answers of a T5 leave nothing behind`, async () => {
    const { rows } = await readCases("t5_gated_untied"), batch = batchOf(rows, layoutOf("packed"));
    const model = await tuned("t5_gated_untied"), prompts = rows.map(({ inputIds }) => inputIds);
    const optimizer = adamW(model, { learningRate: 1e-3 });
    const buffers: number[] = [];
    for (let round = 0; round < 3; round++) {
      for (const checkpointing of [true, false]) {
        await trainEpoch(model, [batch], { optimizer, checkpointing, quiet: true });
      }
      await evaluateLoss(model, [batch]);
      await generate(model, prompts, { maxNewTokens: 5 });
      await generate(model, prompts, { maxNewTokens: 5, numBeams: 2 });
      await logits(model, prompts[0], { decoderInputIds: [0, 5] });
      buffers.push(device.memory().buffers);
    }
    assert.deepEqual(buffers, [buffers[0], buffers[0], buffers[0]]);
  });

  Deno.test(`${device.backend}: T5's dropout is the same packed, padded, kept and recomputed`, async () => {
    const { rows } = await readCases("t5_gated_untied");
    const model = attachLoRA(await base("t5_gated_untied"), {
      r: 2,
      dropout: 0.3,
      targetModules: "all-linear",
      quiet: true,
    });
    for (const [name, tensor] of model.adapters.get("default")!.parameters) {
      if (name.includes("lora_B")) {
        device.update(
          tensor,
          Float32Array.from({ length: tensor.shape[0] * 2 }, (_, i) => Math.sin(i) / 9),
        );
      }
    }
    const dropout = { seed: 5, step: 1 };
    const [first, ...others] = await Promise.all(
      (["packed", "padded"] as const).flatMap((layout) =>
        [true, false].map((checkpointing) =>
          gradients(model, batchOf(rows, layoutOf(layout)), { checkpointing, dropout })
        )
      ),
    );
    assert.ok(Math.abs(first.loss - (await gradients(model, batchOf(rows, layoutOf("packed")))).loss) > 1e-3);
    for (const other of others) {
      assertClose([other.loss], [first.loss], 1e-6, "loss");
      for (const [name, values] of Object.entries(other.gradients)) {
        assertClose(values, first.gradients[name], 1e-5, name);
      }
    }
  });
}

Deno.test("the buckets of distances are Transformers'", async () => {
  const { buckets } = await readJson<{ buckets: { encoder: number[]; decoder: number[] } }>(
    "t5_tied",
    "cases.json",
  );
  const { encoderDecoder } = parseConfig({ model_type: "t5" });
  for (const stack of ["encoder", "decoder"] as const) {
    const found = [...distanceBuckets(stack, encoderDecoder!)];
    // Two further on each side, which share the bucket of the last.
    assert.deepEqual([found[0], found[0], ...found, found.at(-1), found.at(-1)], buckets[stack]);
  }
});

const flanT5Large = {
  model_type: "t5",
  d_model: 1024,
  d_kv: 64,
  d_ff: 2816,
  num_layers: 24,
  num_decoder_layers: 24,
  num_heads: 16,
  feed_forward_proj: "gated-gelu",
  tie_word_embeddings: false,
  decoder_start_token_id: 0,
};

Deno.test("FLAN-T5-large's parameters and memory from config.json", () => {
  const config = parseConfig(flanT5Large);
  assert.equal(countParameters(config), 783_150_080);
  assert.equal(countLoRA(config, { r: 32, targetModules: ["q", "v"] }), 9_437_184);
  assert.equal(countLoRA(config, { r: 16, targetModules: ["q", "v", "o"] }), 7_077_888);
  assert.equal(config.encoderDecoder!.headScale, 1);
  // Half precision of 783,150,080 weights (norms stay in f32 here, 2 bytes more for 124,928 of them) and f32 of the adapter.
  const memory = estimateMemory(config, { tokens: 512, r: 32, half: true, backend: "webgpu" });
  assert.deepEqual(
    [memory.weights - 2 * 124_928, memory.adapter],
    [783_150_080 * 2, 9_437_184 * 4],
  );
  assert.equal(((memory.weights + memory.adapter) / 1e9).toFixed(2), "1.60");
  // As transformers 5 rewrites it.
  const { tie_word_embeddings: _, ...rest } = flanT5Large;
  assert.deepEqual(
    parseConfig({ ...rest, tie_word_embeddings: true, scale_decoder_outputs: false }),
    parseConfig(flanT5Large),
  );
});

Deno.test("a T5's adapter is saved as PEFT's SEQ_2_SEQ_LM and comes back", async () => {
  const [device] = await devices(), folder = await Deno.makeTempDir();
  const model = attachLoRA(await loadModel(join(referenceFolder("t5_tied"), "model"), { device }), {
    quiet: true,
  });
  assert.deepEqual(model.adapters.get("default")!.config.targetModules, ["q", "v"]);
  await saveAdapter(model, folder);
  const json = JSON.parse(await Deno.readTextFile(join(folder, "adapter_config.json")));
  assert.equal(json.task_type, "SEQ_2_SEQ_LM");
  const again = await loadAdapter({ ...model, adapters: new Map(), active: undefined }, folder);
  assert.deepEqual(
    [...again.adapters.get("default")!.parameters.keys()],
    [...model.adapters.get("default")!.parameters.keys()],
  );
  await Deno.remove(folder, { recursive: true });
});

Deno.test("what a T5 cannot do is refused by name", async () => {
  const [device] = await devices();
  const model = await loadModel(join(referenceFolder("t5_tied"), "model"), { device });
  const decoder = await loadModel(join(referenceFolder("llama_tied"), "model"), { device });
  const pair = { inputIds: [5, 6, 1], labels: [7, 1] };
  const adapted = attachLoRA(model, { quiet: true });
  await refused("it", () => gradients(adapted, batchOf([{ inputIds: [5, 6, 1] }])), /laid out for a decoder/);
  await refused(
    "it",
    () => gradients(decoder, batchOf([pair], { decoderStartTokenId: 0 })),
    /laid out for an encoder-decoder/,
  );
  await refused("it", () => logits(model, [5, 6, 1]), /decoderInputIds/);
  await refused(
    "it",
    () => parseConfig({ ...flanT5Large, feed_forward_proj: "gated-tanh" }),
    /feed_forward_proj/,
  );
  await refused(
    "it",
    () => Promise.resolve(batchOf([{ inputIds: [5] }], { decoderStartTokenId: 0 })),
    /needs labels/,
  );
});
