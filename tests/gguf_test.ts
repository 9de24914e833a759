// GGUF files against llama.cpp's own converter and llama-quantize, tensor by tensor (tests/reference/gguf_files.py), and read
// back as models.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { fromFileUrl, join } from "@std/path";
import { dequantizeGgml } from "../lib/gguf/dequantize.ts";
import { exportGGUF } from "../lib/gguf/export.ts";
import { exportLoraGGUF } from "../lib/gguf/lora.ts";
import type { GGUFType } from "../lib/gguf/mixture.ts";
import { quantizeGgml, type WrittenType } from "../lib/gguf/quantize.ts";
import { type GgufFile, openGguf } from "../lib/gguf/read.ts";
import type { GgmlType } from "../lib/gguf/types.ts";
import { loadModel } from "../lib/models/load.ts";
import type { Model } from "../lib/models/model.ts";
import { loadAdapter } from "../lib/peft.ts";
import { weightValues } from "../lib/quantize/model.ts";
import { logits } from "../lib/train/inspect.ts";
import { assertClose, readCases, readJson, referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

type Stored = [type: string, shape: number[], sha256: string];
interface Reference {
  metadata: Record<string, unknown>;
  tensors: Record<string, Stored>;
}
const references = await readJson<Record<string, Record<GGUFType, Reference>>>("gguf", "converter.json");
const adapters = await readJson<Record<string, Reference>>("gguf", "adapters.json");
const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex").slice(0, 24);
const examples = fromFileUrl(new URL("../", import.meta.url));
const temporary = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(temporary, { recursive: true }));

const folderOf = (name: string) =>
  name.startsWith("examples/") ? join(examples, name) : join(referenceFolder(name), "model");

/** llama.cpp knows one furthest distance for T5; the small models have others, which no tensor shows. */
async function loaded(name: string): Promise<Model> {
  const model = await loadModel(folderOf(name)), { encoderDecoder } = model.config;
  if (!encoderDecoder) return model;
  return {
    ...model,
    config: { ...model.config, encoderDecoder: { ...encoderDecoder, relativeAttentionMaxDistance: 128 } },
  };
}

async function withFile<R>(path: string, use: (file: GgufFile) => Promise<R>): Promise<R> {
  const file = await openGguf(path);
  try {
    return await use(file);
  } finally {
    file.close();
  }
}

function described(file: GgufFile): Promise<Record<string, Stored>> {
  const names = [...file.tensors.keys()].sort();
  return Promise.all(names.map(async (name) => {
    const { type, shape } = file.tensors.get(name)!;
    return [name, [type, [...shape], sha256(await file.read(name))]];
  })).then((entries) => Object.fromEntries(entries));
}

const sorted = (tensors: Record<string, Stored>) =>
  Object.fromEntries(Object.entries(tensors).sort(([a], [b]) => a < b ? -1 : 1));

/** The metadata in the reference's form. */
function plain({ metadata }: GgufFile): Record<string, unknown> {
  return Object.fromEntries([...metadata].map(([key, { value }]) => {
    if (!Array.isArray(value)) return [key, value];
    return [key, { list: value.length, sha256: sha256(JSON.stringify(value)) }];
  }));
}

Deno.test("number formats: the bytes of ggml_quantize_chunk, and what gguf.quants reads in them", async () => {
  const { values, formats } = await readJson<
    { values: string; formats: Record<GgmlType, { bytes: string; read: string }> }
  >("gguf", "quants.json");
  const floats = new Float32Array(Uint8Array.from(Buffer.from(values, "base64")).buffer);
  for (const [type, { bytes, read }] of Object.entries(formats)) {
    const expected = Uint8Array.from(Buffer.from(bytes, "base64"));
    if (!["Q4_1", "Q5_1", "Q5_K"].includes(type)) {
      assert.deepEqual(quantizeGgml(type as WrittenType, floats, "x"), expected, type);
    }
    assert.equal(sha256(new Uint8Array(dequantizeGgml(type as GgmlType, expected).buffer)), read, type);
  }
});

/** What the converter takes from elsewhere, or leaves out where this library says more. */
const OTHERWISE = [
  /^general\.name$/, // the folder's, in another form
  /^tokenizer\.ggml\.add_eos_token$/, // said here in any case
  /^tokenizer\.ggml\.add_bos_token$/,
  /^tokenizer\.ggml\.(eot|eom|unknown|padding)_token_id$/,
  /\.vocab_size$/,
  /\.attention\.sliding_window$/,
  /\.context_length$/, // no longer than the window
  /^tokenizer\.chat_template(s|\..*)$/, // others than the default
];

for (const [name, reference] of Object.entries(references)) {
  Deno.test(`${name} as llama.cpp's converter and llama-quantize write it`, async () => {
    const model = await loaded(name);
    for (
      const [type, { metadata, tensors }] of Object.entries(reference) as [GGUFType, Reference][]
    ) {
      const path = join(temporary, `${name}-${type}.gguf`);
      await exportGGUF(model, path, { type });
      await withFile(path, async (file) => {
        const own = await described(file), theirs = sorted(tensors);
        assert.deepEqual(own, theirs, `${type}: tensors`);
        if (!metadata) return;
        const said = plain(file);
        for (const [key, value] of Object.entries(metadata)) {
          if (OTHERWISE.some((pattern) => pattern.test(key))) continue;
          assert.deepEqual(said[key], value, `${type}: ${key}`);
        }
      });
      await Deno.remove(path);
    }
  });
}

for (const [name, { metadata, tensors }] of Object.entries(adapters)) {
  Deno.test(`the adapter of ${name} as convert_lora_to_gguf writes it`, async () => {
    const model = await loadAdapter(await loaded(name), join(referenceFolder(name), "adapter"));
    const path = join(temporary, `${name}-adapter.gguf`);
    await exportLoraGGUF(model, path);
    await withFile(path, async (file) => {
      assert.deepEqual(await described(file), sorted(tensors));
      const own = plain(file);
      for (const key of ["general.architecture", "general.type", "adapter.type", "adapter.lora.alpha"]) {
        assert.deepEqual(own[key], metadata[key], key);
      }
    });
  });
}

Deno.test("ends of an answer beyond the third are named first where llama.cpp does not know them, and told of", async () => {
  const model = await loaded("examples/finsight/model"), path = join(temporary, "ends.gguf");
  const warn = console.warn;
  const saved = async (eosTokenIds: number[]) => {
    const said: string[] = [];
    console.warn = (line) => said.push(line);
    try {
      await exportGGUF({ ...model, generation: { ...model.generation, eosTokenIds } }, path, {
        overwrite: true,
      });
    } finally {
      console.warn = warn;
    }
    const named = await withFile(path, (file) => {
      const { metadata } = file;
      return Promise.resolve(
        ["eos", "eot", "eom"].map((name) => metadata.get(`tokenizer.ggml.${name}_token_id`)?.value),
      );
    });
    const read = await loadModel(path);
    assert.deepEqual([read.generation.eosTokenIds, read.tokenizer!.eosIds], [eosTokenIds, eosTokenIds]);
    return { named, said };
  };
  assert.deepEqual(await saved([2]), { named: [2, undefined, undefined], said: [] });
  assert.deepEqual(await saved([2, 0, 1]), { named: [2, 0, 1], said: [] });
  // 0 is <|endoftext|>, which llama.cpp knows.
  assert.deepEqual(await saved([2, 0, 1, 300]), { named: [2, 1, 300], said: [] });
  const { named, said } = await saved([2, 0, 1, 300, 301]);
  assert.deepEqual(named, [2, 1, 300]);
  assert.equal(said.length, 1);
  assert.match(
    said[0],
    /will not stop at ".+" \(301\), as a GGUF file names it three ends only \(here 2, 1, 300\)/,
  );
});

const roundTrips = [
  "llama_tied",
  "llama_rope3",
  "llama_headdim",
  "qwen2_bias",
  "qwen3_norm",
  "mistral_window",
  "gemma_scaled",
  "t5_tied",
  "examples/finsight/model",
  "examples/fingpt/model/gemma",
  "examples/sql/model",
];
for (const name of roundTrips) {
  Deno.test(`${name}: written as GGUF in f32 and read again, it is the same model`, async () => {
    const model = await loaded(name), path = join(temporary, `${name.replaceAll("/", "-")}.gguf`);
    await exportGGUF(model, path, { type: "f32" });
    const read = await loadModel(path);
    const exact = model.config.modelType !== "gemma"; // one is added to its norms and taken away again
    for (const [weight, stored] of model.weights) {
      const values = await weightValues(model.device, stored);
      const own = await weightValues(read.device, read.weights.get(weight)!);
      assertClose(own, [...values] as unknown as Float32Array, exact ? 0 : 1.2e-7, weight);
    }
    assert.deepEqual([...read.weights.keys()].sort(), [...model.weights.keys()].sort());
    const { dtype: _dtype, initializerRange: _range, ...config } = model.config;
    const shown = { ...config, maxPositionEmbeddings: read.config.maxPositionEmbeddings };
    const { dtype: _d, initializerRange: _r, ...found } = read.config;
    const f = Math.fround;
    assert.deepEqual(
      { ...found, eosTokenIds: [] },
      { ...shown, eosTokenIds: [], rmsNormEps: f(config.rmsNormEps), ropeTheta: f(config.ropeTheta) },
    );
    assert.deepEqual(read.generation.eosTokenIds, model.generation.eosTokenIds);
    if (!model.tokenizer) return;
    for (const text of texts) {
      const ids = model.tokenizer.encode(text);
      assert.deepEqual(read.tokenizer!.encode(text), ids, text);
      assert.equal(read.tokenizer!.decode(ids), model.tokenizer.decode(ids));
    }
    const chat = [{ role: "user", content: "What is a bond?" }];
    assert.equal(read.tokenizer!.applyChatTemplate(chat), model.tokenizer.applyChatTemplate(chat));
    const again = join(temporary, `${name.replaceAll("/", "-")}-again.gguf`);
    await exportGGUF(read, again, { type: "f32" });
    const metadata = async (path: string) => {
      const { ["general.name"]: _name, ...rest } = await withFile(
        path,
        (file) => Promise.resolve(plain(file)),
      );
      return rest;
    };
    assert.deepEqual(await metadata(again), await metadata(path));
  });
}

const texts = [
  "What is a bond?",
  "  Two spaces, a tab\t and\n\nlines; 1,234.5 % of EUR 100m",
  "Zürich: 你好，世界 🚀",
  "<s>not a bond</s> ### Answer:",
];

Deno.test("a quantised file is a base like any other: its logits are nearly the model's", async () => {
  const model = await loadModel(folderOf("llama_tied")), { rows } = await readCases("llama_tied");
  for (const type of ["f16", "q8_0", "q4_0", "q4_k_m"] as const) {
    const path = join(temporary, `base-${type}.gguf`);
    await exportGGUF(model, path, { type });
    const read = await loadModel(path);
    const before = await logits(model, rows[1].inputIds), after = await logits(read, rows[1].inputIds);
    const squares = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0);
    const lost = Math.sqrt(
      squares(before.data.map((value, i) => value - after.data[i])) / squares(before.data),
    );
    const allowed = { f16: 1e-6, q8_0: 0.04, q4_0: 0.7, q4_k_m: 0.5 }[type]; // a random model, which exaggerates
    assert.ok(lost <= allowed && (type === "f16" || lost > 0), `${type}: ${lost} of the logits`);
  }
});

Deno.test("what llama.cpp cannot compute is refused by its name, and nothing is replaced", async () => {
  const path = join(temporary, "refused.gguf");
  const llama = await loadModel(folderOf("llama_tied")), qwen = await loadModel(folderOf("qwen2_bias"));
  const scaled = (await loadModel(folderOf("llama_rope3"))).config.ropeScaling;
  await refused(
    "exportGGUF",
    () => exportGGUF({ ...llama, config: { ...llama.config, hiddenAct: "gelu_tanh" } }, path),
    /hidden_act/,
  );
  await refused(
    "exportGGUF",
    () => exportGGUF({ ...qwen, config: { ...qwen.config, ropeScaling: scaled } }, path),
    /llama3/,
  );
  const t5 = await loadModel(folderOf("t5_tied"));
  await refused("exportGGUF", () => exportGGUF(t5, path), /relative_attention_max_distance 12/);
  const deep = await loaded("t5_gated_untied");
  await refused("exportGGUF", () => exportGGUF(deep, path), /more blocks than the encoder/);
  const tuned = await loadAdapter(llama, join(referenceFolder("llama_tied"), "adapter"));
  await refused("exportGGUF", () => exportGGUF(tuned, path), /merge it first/);
  await refused("exportLoraGGUF", () => exportLoraGGUF(llama, path), /none/);
  await refused("exportGGUF", () => exportGGUF(llama, path, { type: "q2_k" as GGUFType }), /q4_k_m/);
  await assert.rejects(Deno.stat(path));
  await exportGGUF(llama, path);
  await refused("exportGGUF", () => exportGGUF(llama, path, { type: "f32" }), /exists/);
  const { size } = await Deno.stat(path);
  await exportGGUF(llama, path, { type: "f32", overwrite: true });
  assert.ok((await Deno.stat(path)).size > size);
  assert.deepEqual([...Deno.readDirSync(temporary)].filter(({ name }) => name.endsWith(".tmp")), []);
});
