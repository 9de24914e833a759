// The decoder against transformers: logits, losses and the gradients of every weight, on each backend.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { batchOf } from "../lib/data/batch.ts";
import { countTrainable } from "../lib/lora.ts";
import { loadModel } from "../lib/models/load.ts";
import { parseConfig } from "../lib/models/config.ts";
import { evaluateLoss } from "../lib/train/epoch.ts";
import { gradients, logits } from "../lib/train/inspect.ts";
import { devices } from "./devices.ts";
import {
  assertClose,
  families,
  readCases,
  readExpected,
  readJson,
  readTensors,
  referenceFolder,
} from "./references.ts";

const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));

for (const device of await devices()) {
  const load = (name: string, dtype?: "f32") =>
    loadModel(join(referenceFolder(name), "model"), { device, dtype });

  for (const name of families) {
    Deno.test(`${device.backend}: ${name}: logits and losses as transformers`, async () => {
      const model = await load(name), cases = await readCases(name), expected = await readExpected(name);
      assert.equal(countTrainable(model).total, cases.parameters);
      for (const [i, { inputIds }] of cases.rows.entries()) {
        const { data, shape } = await logits(model, inputIds);
        assert.deepEqual(shape, [inputIds.length, model.config.vocabSize]);
        assertClose(data, expected.get(`logits.${i}`), 1e-4, `logits of row ${i}`);
      }
      for (const layout of ["packed", "padded"] as const) {
        assertClose(
          [await evaluateLoss(model, [batchOf(cases.rows, { layout })])],
          [cases.loss],
          1e-5,
          layout,
        );
      }
    });

    Deno.test(`${device.backend}: ${name}: the norm of every weight's gradient`, async () => {
      const model = await load(name, "f32"), cases = await readCases(name);
      const result = await gradients(model, batchOf(cases.rows));
      assertClose([result.loss], [cases.loss], 1e-5, "loss");
      assert.equal(result.tokens, cases.trainedTokens);
      const names = Object.keys(cases.fullGradientNorms);
      assert.deepEqual(Object.keys(result.gradients).sort(), names.sort());
      const norms = names.map((name) => norm(result.gradients[name]));
      assertClose(norms, names.map((name) => cases.fullGradientNorms[name]), 1e-5, "norms");
    });
  }

  Deno.test(`${device.backend}: full training: every number of every gradient`, async () => {
    const model = await load("llama_headdim"), cases = await readCases("llama_full");
    const expected = await readTensors(join(referenceFolder("llama_full"), "gradients.safetensors"));
    for (const checkpointing of [true, false]) {
      const result = await gradients(model, batchOf(cases.rows), { checkpointing });
      assert.equal(Object.keys(result.gradients).length, expected.size);
      for (const [name, values] of Object.entries(result.gradients)) {
        assertClose(values, expected.get(name), 1e-5, name);
      }
    }
  });
}

Deno.test("a config.json of transformers 5 and the older one say the same", async () => {
  const [now, classic] = await Promise.all(
    ["model/config.json", "config_classic.json"].map((file) => readJson("llama_rope3", file)),
  );
  assert.deepEqual(parseConfig(now), parseConfig(classic));
  assert.equal(parseConfig(now).ropeScaling?.ropeType, "llama3");
});
