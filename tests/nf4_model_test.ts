// QLoRA against bitsandbytes and peft: checkpoints that are quantised already, and the same made here from the full model.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { batchOf } from "../lib/data/batch.ts";
import { UserError } from "../lib/errors.ts";
import { loadModel, type LoadModelOptions } from "../lib/models/load.ts";
import type { Device } from "../lib/engine/device.ts";
import type { Model, NF4Weight } from "../lib/models/model.ts";
import { loadAdapter } from "../lib/peft.ts";
import { quantizeModel } from "../lib/quantize/model.ts";
import type { NF4Parts } from "../lib/quantize/nf4.ts";
import { adamW } from "../lib/train/adamw.ts";
import { gradients, logits } from "../lib/train/inspect.ts";
import { devices } from "./devices.ts";
import {
  assertClose,
  assertTrace,
  readCases,
  readExpected,
  referenceFolder,
  runTrace,
  type Trace,
} from "./references.ts";
import { refused } from "./refused.ts";

const adapterFolder = join(referenceFolder("llama_tied"), "adapter");
/** bitsandbytes computes the offset of double quantisation, a mean, in another order. */
const oneUlp = 2 ** -23;

for (const device of await devices()) {
  const load = (name: string, options: LoadModelOptions = {}) =>
    loadModel(join(referenceFolder(name), "model"), { device, ...options });

  for (const name of ["llama_nf4", "llama_nf4_double"]) {
    const doubleQuant = name === "llama_nf4_double";

    Deno.test(`${device.backend}: ${name}: logits, gradients and 20 steps as peft's over bitsandbytes`, async () => {
      const base = await load(name), cases = await readCases(name), expected = await readExpected(name);
      const model = await loadAdapter(base, adapterFolder);
      for (const [i, { inputIds }] of cases.rows.entries()) {
        assertClose((await logits(base, inputIds)).data, expected.get(`logits.${i}`), 1e-4, `logits ${i}`);
        assertClose(
          (await logits(model, inputIds)).data,
          expected.get(`adapterLogits.${i}`),
          1e-4,
          `adapted ${i}`,
        );
      }
      for (const checkpointing of [true, false]) {
        const result = await gradients(model, batchOf(cases.rows), { checkpointing });
        assertClose([result.loss], [cases.adapterLoss], 1e-5, "loss");
        for (const [tensor, values] of Object.entries(result.gradients)) {
          assertClose(values, expected.get(`gradient.${tensor}`), 1e-5, tensor);
        }
      }
      const trace = cases.training.warmupFromFirstStep as Trace;
      assertTrace(
        await runTrace(model, cases.rows, cases.training, (step) => trace.learningRates[step]),
        trace,
        2e-5,
      );
    });

    Deno.test(`${device.backend}: ${name}: quantising the full model here gives the same`, async () => {
      const theirs = await load(name), cases = await readCases(name), expected = await readExpected(name);
      const ours = [
        await load("llama_tied", { quantize: "nf4", doubleQuant }),
        await quantizeModel(await load("llama_tied"), { doubleQuant }),
      ];
      for (const model of ours) {
        assert.equal(await compareCodes(model, theirs), 14);
        const { inputIds } = cases.rows[3];
        assertClose((await logits(model, inputIds)).data, expected.get("logits.3"), 1e-4, "logits");
      }
    });
  }

  Deno.test(`${device.backend}: two batches at the same time give what they give one by one`, async () => {
    const model = await loadAdapter(await load("llama_nf4"), adapterFolder);
    const { rows } = await readCases("llama_nf4"),
      batches = [batchOf(rows.slice(0, 2)), batchOf(rows.slice(2))];
    const single = [await gradients(model, batches[0]), await gradients(model, batches[1])];
    const together = await Promise.all(batches.map((batch) => gradients(model, batch)));
    for (const [i, { gradients }] of together.entries()) {
      for (const [name, values] of Object.entries(gradients)) {
        assertClose(values, single[i].gradients[name], 1e-6, `batch ${i}, ${name}`);
      }
    }
  });

  Deno.test(`${device.backend}: what is quantised, and what stays of the model passed in`, async () => {
    const before = device.memory().live, full = await load("llama_tied", { dtype: "f32" });
    const fullBytes = device.memory().live - before;
    const dense = new Map(full.weights);
    const kept = await quantizeModel(full, { keep: true });
    assert.deepEqual(full.weights, dense);
    const model = await quantizeModel(full, {});
    assert.equal(model.weights, full.weights, "the model passed in shares the quantised weights");
    for (const [name, { kind }] of model.weights) {
      assert.equal(kind, name.includes("proj") ? "nf4" : "dense", name);
    }
    assert.deepEqual(
      [...kept.weights.values()].map(({ kind }) => kind),
      [...model.weights.values()].map(({ kind }) => kind),
    );
    // Twice the quantised weights and once the rest: 4 bits and 1/64 of a float a weight.
    const linear = model.weights.values().reduce(
      (sum, w) => sum + (w.kind === "nf4" ? w.shape[0] * w.shape[1] : 0),
      0,
    );
    const rest = fullBytes - 4 * linear;
    assert.equal(device.memory().live - before, rest + 2 * (linear / 2 + linear / 16));
  });

  Deno.test(`${device.backend}: a quantised base is not trained itself`, async () => {
    const model = await load("llama_nf4");
    assert.throws(
      () => adamW(model, { learningRate: 1e-3 }),
      (error) => error instanceof UserError && /attach a LoRA adapter first/.test(error.message),
    );
  });
}

/** Every code and scale equal; returns how many weights were compared. */
async function compareCodes(model: Model, reference: Model): Promise<number> {
  let compared = 0;
  for (const [name, weight] of reference.weights) {
    const own = model.weights.get(name)!;
    assert.equal(own.kind, weight.kind, name);
    if (weight.kind !== "nf4" || own.kind !== "nf4") continue;
    const [ours, theirs] = [
      await downloadNF4(model.device, own),
      await downloadNF4(reference.device, weight),
    ];
    assert.deepEqual(ours.codes, theirs.codes, name);
    assert.deepEqual(ours.absmax, theirs.absmax, name);
    assert.equal(ours.nested === undefined, theirs.nested === undefined);
    if (ours.nested && theirs.nested) {
      assert.deepEqual(ours.nested.codes, theirs.nested.codes, name);
      assertClose([ours.nested.offset / theirs.nested.offset], [1], oneUlp, `${name}: offset`);
      const ratios = ours.nested.absmax.map((x, i) => x / theirs.nested!.absmax[i]);
      assertClose(ratios, ratios.map(() => 1), 4 * oneUlp, `${name}: nested absmax`);
    }
    compared++;
  }
  return compared;
}

Deno.test("a model whose rows are no whole blocks is refused with what to do instead", async () => {
  const [device] = await devices();
  const says = (error: unknown) =>
    error instanceof UserError &&
    /rows of 96 weights.*multiple of 64.*without quantize.*--full-precision/.test(error.message);
  const folder = fromFileUrl(new URL("../examples/sql/model", import.meta.url));
  await assert.rejects(loadModel(folder, { device, quantize: "nf4" }), says);
  await assert.rejects(quantizeModel(await loadModel(folder, { device }), {}), says);
});

Deno.test("what is quantised already is not quantised in another way", async () => {
  const [device] = await devices();
  for (const [name, nested] of [["llama_nf4", false], ["llama_nf4_double", true]] as const) {
    const folder = join(referenceFolder(name), "model");
    const options = { device, quantize: "nf4" } as const;
    await loadModel(folder, { ...options, doubleQuant: nested });
    const message = new RegExp(
      `quantised already, ${nested ? "with" : "without"} double quantisation: leave`,
    );
    await refused(name, () => loadModel(folder, { ...options, doubleQuant: !nested }), message);
  }
});

/** A weight's NF4 parts, read back from the device. */
async function downloadNF4(device: Device, { codes, scales }: NF4Weight): Promise<NF4Parts> {
  if ("absmax" in scales) {
    const [bytes, absmax] = await device.read(codes, scales.absmax);
    return { codes: bytes as Uint8Array, absmax: absmax as Float32Array, blockSize: 64 };
  }
  const [bytes, nestedCodes, nestedAbsmax, offset, codebook] = await device.read(
    codes,
    scales.nestedCodes,
    scales.nestedAbsmax,
    scales.offset,
    scales.codebook,
  );
  return {
    codes: bytes as Uint8Array,
    blockSize: 64,
    nested: {
      codes: nestedCodes as Uint8Array,
      absmax: nestedAbsmax as Float32Array,
      offset: offset[0],
      codebook: codebook as Float32Array,
      blockSize: 256,
    },
  };
}
