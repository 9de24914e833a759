// exportONNX: the files run in onnxruntime with our own logits, in every type, over a cache, filled up on the left; large
// models in several files; what is refused, and what stays behind when writing fails.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { openDevice } from "../lib/engine/open.ts";
import { attachLoRA } from "../lib/lora.ts";
import { loadModel } from "../lib/models/load.ts";
import type { Model, Weight } from "../lib/models/model.ts";
import { exportONNX, type ExportONNXOptions, exportWithin } from "../lib/onnx/export.ts";
import { type Bits, quantizeBlocks } from "../lib/engine/onnx/blocks.ts";
import { logits } from "../lib/train/inspect.ts";
import { answerLogits, decoderLogits, openSession, roundedToBlocks } from "./onnx_files.ts";
import { assertClose, families, readJson, referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

const device = await openDevice({ backend: "cpu" });
const load = (name: string) => loadModel(join(referenceFolder(name), "model"), { device });

/** Three rows of different lengths; longer than the window of the reference that has one. */
const rows = [
  [1, 15, 72, 91, 33, 8, 60, 4, 17, 52, 88, 23],
  [1, 15, 72],
  [1, 90, 9, 44, 45, 46, 12],
];
const answers = [[0, 5, 9, 31], [0, 44, 2, 17], [0, 8, 8, 90]];

async function withExport(
  model: Model,
  options: ExportONNXOptions & { limit?: number },
  use: (folder: string, file: (name: string) => string) => Promise<void>,
): Promise<void> {
  const parent = await Deno.makeTempDir(), folder = join(parent, "a", "model");
  try {
    await exportWithin(options.limit ?? 2e9, model, folder, options);
    await use(folder, (name) => join(folder, "onnx", name));
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

/** Every logit of the file against the reference model's. */
async function assertLogits(
  model: Model,
  file: (name: string) => string,
  suffix: string,
  tolerance: number,
): Promise<void> {
  if (model.config.encoderDecoder) {
    const encoder = await openSession(file(`encoder_model${suffix}.onnx`));
    const decoder = await openSession(file(`decoder_model_merged${suffix}.onnx`));
    const found = await answerLogits({ encoder, decoder }, rows, answers);
    for (const [i, decoderInputIds] of answers.entries()) {
      const { data } = await logits(model, rows[i], { decoderInputIds });
      assertClose(found[i].flatMap((row) => [...row]), data, tolerance, `row ${i}`);
    }
    await Promise.all([encoder.release(), decoder.release()]);
    return;
  }
  const session = await openSession(file(`model${suffix}.onnx`));
  const found = await decoderLogits(session, rows, 9);
  for (const [i, row] of rows.entries()) {
    assertClose(
      found[i].flatMap((row) => [...row]),
      (await logits(model, row)).data,
      tolerance,
      `row ${i}`,
    );
  }
  await session.release();
}

const names = [...families, "t5_gated_untied", "t5_tied"];

for (const name of names) {
  Deno.test(`onnxruntime gives our logits from the exported file: ${name}`, async () => {
    const model = await load(name);
    await withExport(model, {}, (_, file) => assertLogits(model, file, "", 1e-4));
    await withExport(model, { type: "q4", accuracyLevel: 0 }, async (folder, file) => {
      await assertLogits(roundedToBlocks(model, 4), file, "_q4", 1e-4);
      await exportONNX(model, folder, { type: "q8", accuracyLevel: 0 });
      await assertLogits(roundedToBlocks(model, 8), file, "_quantized", 1e-4);
      await exportONNX(model, folder, { type: "f16" }); // beside it
      await assertLogits(model, file, "_fp16", 2e-2);
    });
  });
}

Deno.test("four and eight bits are onnxruntime's own, code by code", async () => {
  const { cases } = await readJson<{
    cases: {
      name: string;
      bits: Bits;
      shape: number[];
      weight: number[];
      codes: number[];
      scales: number[];
    }[];
  }>("onnx_blocks", "cases.json");
  for (const { name, bits, shape, weight, codes, scales } of cases) {
    const found = quantizeBlocks(Float32Array.from(weight), shape, bits);
    assert.deepEqual([...found.codes], codes, name);
    assert.deepEqual([...found.scales], scales, name);
  }
});

Deno.test("a model above the limit lies in several files, which config.json counts", async () => {
  const model = await load("qwen2_bias");
  await withExport(model, { limit: 40_000 }, async (folder, file) => {
    const found = await Array.fromAsync(Deno.readDir(join(folder, "onnx")), ({ name }) => name);
    const count = found.length - 1;
    assert.ok(count > 2, found.join());
    for (const name of found) {
      const { size } = await Deno.stat(file(name));
      assert.ok(name === "model.onnx" || size <= 40_000, `${name} ${size}`);
    }
    const external = async () =>
      JSON.parse(await Deno.readTextFile(join(folder, "config.json")))["transformers.js_config"];
    const expected = { dtype: "fp32", use_external_data_format: { "model.onnx": count } };
    assert.deepEqual(await external(), expected);
    await assertLogits(model, file, "", 1e-4);
    await exportONNX(model, folder, { type: "q4" });
    assert.deepEqual(await external(), expected); // the first type stays the one that is loaded
    await exportONNX(model, folder, { overwrite: true }); // in one file now
    const left = await Array.fromAsync(Deno.readDir(join(folder, "onnx")), ({ name }) => name);
    assert.deepEqual(left.sort(), ["model.onnx", "model_q4.onnx"]);
    assert.deepEqual(await external(), { dtype: "fp32" });
    await assertLogits(model, file, "", 1e-4);
  });
});

Deno.test("a model in NF4 is written as what its codes stand for", async () => {
  const model = await load("llama_nf4");
  assert.ok([...model.weights.values()].some(({ kind }) => kind === "nf4"));
  await withExport(model, {}, (_, file) => assertLogits(model, file, "", 1e-4));
});

Deno.test("what exportONNX refuses", async () => {
  const model = await load("llama_tied"), folder = await Deno.makeTempDir();
  const tuned = attachLoRA(model, { r: 2, quiet: true });
  await refused("an adapter", () => exportONNX(tuned, folder), /"default" is in use: merge it.*mergeAdapter/);
  // deno-lint-ignore no-explicit-any
  const odd = (options: any) => () => exportONNX(model, folder, options);
  await refused("a type", odd({ type: "int8" }), /"int8"; it must be "f32", "f16", "q8" or "q4"/);
  await refused("a level", odd({ type: "q4", accuracyLevel: 2 }), /accuracyLevel is 2/);
  await refused("no folder", () => exportONNX(model, ""), /needs a folder as text/);
  assert.deepEqual(await Array.fromAsync(Deno.readDir(folder)), []);

  const [[first]] = [...model.weights].filter(([name]) => name.endsWith("q_proj.weight"));
  const large = {
    kind: "dense",
    tensor: device.upload(new Float32Array(4096).fill(7e4), [64, 64], "f32"),
  } as const;
  const wide = { ...model, weights: new Map(model.weights).set(first, large) };
  await refused(
    "numbers beyond f16",
    () => exportONNX(wide, folder, { type: "f16" }),
    /70000, beyond what f16/,
  );
  await exportONNX(model, folder);
  await refused("a file that is there", () => exportONNX(model, folder), /model\.onnx exists already/);
  await refused(
    "a folder of another model",
    async () => exportONNX(await load("llama_headdim"), folder, { type: "q4" }),
    /config\.json is of another model/,
  );
  const files = await Array.fromAsync(Deno.readDir(join(folder, "onnx")), ({ name }) => name);
  assert.deepEqual(files, ["model.onnx"]);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("where writing fails, nothing stays behind and nothing is lost", async () => {
  const model = await load("llama_tied"), parent = await Deno.makeTempDir(), folder = join(parent, "model");
  const [[name]] = [...model.weights].filter(([name]) => name.endsWith("down_proj.weight"));
  const broken = { ...model, weights: new Map(model.weights) };
  broken.weights.set(name, {
    kind: "dense",
    tensor: { ...device.zeros([4], "f32"), shape: shapeOf(model.weights.get(name)!) },
  });
  await assert.rejects(exportONNX(broken, folder), /bytes/);
  assert.deepEqual(await Array.fromAsync(Deno.readDir(parent)), []);
  await Deno.mkdir(join(parent, ".model.0a1b2c3d.tmp")); // as a killed process leaves it
  await exportONNX(model, folder);
  assert.deepEqual(await Array.fromAsync(Deno.readDir(parent), ({ name }) => name), ["model"]);
  const before = await Deno.readFile(join(folder, "onnx", "model.onnx"));
  await assert.rejects(exportONNX(broken, folder, { overwrite: true }), /bytes/);
  assert.deepEqual(await Deno.readFile(join(folder, "onnx", "model.onnx")), before);
  const files = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
  assert.ok(files.every((name) => !name.endsWith(".tmp")), files.join());
  await Deno.remove(parent, { recursive: true });
});

const shapeOf = (weight: Weight) => weight.kind === "dense" ? weight.tensor.shape : weight.shape;
