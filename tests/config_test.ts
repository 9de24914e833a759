// Configurations: exact parameter counts of published models, Transformers' shapes and frequencies, impossible sizes.

import assert from "node:assert/strict";
import {
  countLoRA,
  countParameters,
  inverseFrequencies,
  linearModules,
  loraShapes,
  parameterShapes,
  parseConfig,
} from "../lib/models/config.ts";
import { UserError } from "../lib/errors.ts";

const sizes = (
  [vocab_size, hidden_size, intermediate_size]: number[],
  [num_hidden_layers, num_attention_heads, num_key_value_heads]: number[],
) => ({
  vocab_size,
  hidden_size,
  intermediate_size,
  num_hidden_layers,
  num_attention_heads,
  num_key_value_heads,
});

/** What the Hub's config.json files say, as far as it matters here. */
const published = {
  tinyllama: {
    model_type: "llama",
    ...sizes([32000, 2048, 5632], [22, 32, 4]),
    eos_token_id: 2,
    bos_token_id: 1,
  },
  smollm2: { model_type: "llama", ...sizes([49152, 2048, 8192], [24, 32, 32]), tie_word_embeddings: true },
  qwen25: { model_type: "qwen2", ...sizes([152064, 3584, 18944], [28, 28, 4]), use_sliding_window: false },
  "Qwen3-0.6B": {
    model_type: "qwen3",
    ...sizes([151936, 1024, 3072], [28, 16, 8]),
    head_dim: 128,
    tie_word_embeddings: true,
  },
  "Llama-3.2-1B": {
    model_type: "llama",
    ...sizes([128256, 2048, 8192], [16, 32, 8]),
    head_dim: 64,
    tie_word_embeddings: true,
    rope_theta: 500000,
    rope_scaling: {
      rope_type: "llama3",
      factor: 32,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
  },
  mistral: { model_type: "mistral", ...sizes([32000, 4096, 14336], [32, 32, 8]), sliding_window: 4096 },
  gemma: {
    model_type: "gemma",
    ...sizes([256000, 2048, 16384], [18, 8, 1]),
    head_dim: 256,
    hidden_act: "gelu",
  },
};
const attention = ["q_proj", "k_proj", "v_proj", "o_proj"];
const all = [...attention, "gate_proj", "up_proj", "down_proj"];

Deno.test("parameter counts of published models are exact", () => {
  const counts = Object.entries(published).map(([name, json]) => [name, countParameters(parseConfig(json))]);
  assert.deepEqual(Object.fromEntries(counts), {
    tinyllama: 1_100_048_384,
    smollm2: 1_711_376_384,
    qwen25: 7_615_616_512,
    "Qwen3-0.6B": 596_049_920,
    "Llama-3.2-1B": 1_235_814_400,
    mistral: 7_241_732_096,
    gemma: 2_506_172_416,
  });
});

Deno.test("trainable LoRA parameters of the recipes are exact", () => {
  const lora = (name: keyof typeof published, r: number, targetModules: string[] | "all-linear") =>
    countLoRA(parseConfig(published[name]), { r, targetModules });
  assert.equal(lora("tinyllama", 16, attention), 4_505_600);
  assert.equal(lora("smollm2", 64, all), 72_351_744);
  assert.equal(lora("smollm2", 64, "all-linear"), 72_351_744);
  assert.equal(lora("qwen25", 16, all), 40_370_176);
  assert.equal(lora("mistral", 16, all), 41_943_040);
  assert.equal(lora("gemma", 16, all), 19_611_648);
});

const reference = JSON.parse(
  await Deno.readTextFile(new URL("./reference/config/config.json", import.meta.url)),
) as Record<string, { v4: unknown; v5: unknown; parameters: Record<string, number[]>; inv_freq: number[] }>;

function ulps(a: number, b: number): number {
  const [x, y] = new Int32Array(Float32Array.of(a, b).buffer);
  return Math.abs(x - y);
}

for (const [name, { v4, v5, parameters, inv_freq }] of Object.entries(reference)) {
  Deno.test(`shapes and rotary frequencies are those of Transformers: ${name}`, () => {
    const config = parseConfig(v4);
    assert.deepEqual(parseConfig(v5), config);
    const shapes = [...parameterShapes(config)].sort();
    assert.deepEqual(shapes, Object.entries(parameters).sort());
    const ours = inverseFrequencies(config);
    assert.equal(ours.length, inv_freq.length);
    ours.forEach((value, i) => assert.ok(ulps(value, inv_freq[i]) <= 1, `${i}: ${value} ${inv_freq[i]}`));
  });
}

Deno.test("families differ in fields only", () => {
  const gemma = parseConfig(published.gemma), mistral = parseConfig(published.mistral);
  assert.equal(gemma.normOffset, 1);
  assert.equal(gemma.embeddingScale, Math.fround(Math.sqrt(2048)));
  assert.equal(gemma.hiddenAct, "gelu_tanh");
  assert.equal(gemma.tieWordEmbeddings, true);
  assert.equal(gemma.headDim, 256);
  assert.equal(mistral.slidingWindow, 4096);
  const qwen = parseConfig({ ...published.qwen25, eos_token_id: [151645, 151643], torch_dtype: "bfloat16" });
  assert.deepEqual([qwen.attentionBias, qwen.attentionOutputBias, qwen.slidingWindow], [true, false, null]);
  assert.deepEqual(qwen.eosTokenIds, [151645, 151643]);
  assert.equal(qwen.dtype, "bfloat16");
  const tiny = parseConfig({ ...published.tinyllama, pad_token_id: -1 });
  assert.deepEqual([tiny.bosTokenId, tiny.eosTokenIds, tiny.padTokenId, tiny.headDim], [
    1,
    [2],
    undefined,
    64,
  ]);
  assert.equal(linearModules(tiny).size, 22 * 7 + 1);
});

Deno.test("LoRA's matrices have PEFT's names and shapes", () => {
  const shapes = loraShapes(parseConfig(published.tinyllama), { r: 8, targetModules: ["k_proj", "lm_head"] });
  assert.equal(shapes.size, 22 * 2 + 2);
  assert.deepEqual(shapes.get("base_model.model.model.layers.21.self_attn.k_proj.lora_A.weight"), [8, 2048]);
  assert.deepEqual(shapes.get("base_model.model.model.layers.21.self_attn.k_proj.lora_B.weight"), [256, 8]);
  assert.deepEqual(shapes.get("base_model.model.lm_head.lora_B.weight"), [32000, 8]);
});

const userError = (pattern: RegExp) => (error: unknown) =>
  error instanceof UserError && pattern.test(error.message) && !error.message.includes("\n");

Deno.test("heads of a width of their own need not divide the hidden size", () => {
  const { headDim, hiddenSize } = parseConfig({
    ...published.tinyllama,
    hidden_size: 2016,
    head_dim: 64,
    num_attention_heads: 40,
  });
  assert.deepEqual([hiddenSize, headDim], [2016, 64]);
});

Deno.test("what is impossible or unsupported is refused by name", () => {
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ model_type: "gpt2" }, /model_type "gpt2" is not supported/],
    [{ model_type: undefined }, /model_type \(missing\)/],
    [{ hidden_size: 2049 }, /hidden_size 2049 is not a multiple of num_attention_heads 32/],
    [{ hidden_size: 0 }, /hidden_size must be a whole number from 1/],
    [{ hidden_size: -64 }, /hidden_size .* is -64/],
    [{ hidden_size: NaN }, /hidden_size/],
    [{ hidden_size: "2048" }, /hidden_size .* "2048"/],
    [{ hidden_size: 1e12 }, /hidden_size/],
    [{ vocab_size: undefined }, /vocab_size .* missing/],
    [{ num_hidden_layers: 1.5 }, /num_hidden_layers/],
    [{ num_hidden_layers: 1e9 }, /num_hidden_layers/],
    [{ num_key_value_heads: 5 }, /32 is not a multiple of num_key_value_heads 5/],
    [{ num_key_value_heads: 64 }, /not a multiple/],
    [{ num_attention_heads: 0 }, /num_attention_heads/],
    [{ head_dim: 63 }, /even/],
    [{ rms_norm_eps: 0 }, /rms_norm_eps/],
    [{ rope_theta: -1 }, /rope_theta/],
    [{ rope_scaling: { rope_type: "yarn", factor: 4 } }, /rope type "yarn" is not supported/],
    [{ rope_scaling: { type: "linear" } }, /rope factor .* missing/],
    [
      { rope_scaling: { type: "llama3", factor: 8, low_freq_factor: 4, high_freq_factor: 1 } },
      /high_freq_factor/,
    ],
    [{ rope_scaling: 8 }, /must be an object/],
    [{ partial_rotary_factor: 0.5 }, /partial_rotary_factor 0.5/],
    [{ hidden_act: "relu" }, /hidden_act "relu"/],
    [{ tie_word_embeddings: "yes" }, /tie_word_embeddings/],
    [{ eos_token_id: "</s>" }, /eos_token_id/],
    [{ quantization_config: { quant_method: "gptq" } }, /gptq/],
    [{ quantization_config: { quant_method: "bitsandbytes", load_in_8bit: true } }, /int8/],
    [
      {
        quantization_config: { quant_method: "bitsandbytes", load_in_4bit: true, bnb_4bit_quant_type: "fp4" },
      },
      /bitsandbytes fp4/,
    ],
  ];
  for (const [change, pattern] of cases) {
    const json = { ...published.tinyllama, ...change };
    assert.throws(() => parseConfig(json), userError(pattern), JSON.stringify(change));
  }
  assert.throws(
    () => parseConfig({ ...published.qwen25, use_sliding_window: true }),
    userError(/use_sliding_window/),
  );
  assert.throws(() => parseConfig([]), userError(/not a JSON object/));
  const config = parseConfig(published.tinyllama);
  assert.throws(() => loraShapes(config, { r: 0, targetModules: all }), userError(/rank r .* not 0/));
  assert.throws(
    () => loraShapes(config, { r: 2, targetModules: ["qproj"] }),
    userError(/"qproj" .* has q_proj, k_proj/),
  );
  assert.throws(() => loraShapes(config, { r: 2, targetModules: [] }), userError(/at least one/));
});
