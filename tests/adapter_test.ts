// LoRA adapters: what PEFT made gives PEFT's numbers, settings are understood or refused, several share one base.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { batchOf } from "../lib/data/batch.ts";
import { UserError } from "../lib/errors.ts";
import { adapterShapes } from "../lib/lora/shapes.ts";
import {
  attachLoRA,
  countTrainable,
  type PlainLoRAOptions,
  trainableSummary,
  useAdapter,
} from "../lib/lora.ts";
import { type ModelConfig, parseConfig } from "../lib/models/config.ts";
import { loadModel } from "../lib/models/load.ts";
import { activeAdapter, type Model } from "../lib/models/model.ts";
import { loraScale } from "../lib/models/parameters.ts";
import { loadAdapter, saveAdapter } from "../lib/peft.ts";
import { adapterConfigText, parseAdapterConfig } from "../lib/peft_config.ts";
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

const folderOf = (...parts: string[]) => join(referenceFolder(parts[0]), ...parts.slice(1));
const userError = (pattern: RegExp) => (error: unknown) =>
  error instanceof UserError && pattern.test(error.message);

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (const device of await devices()) {
  const load = (name: string) => loadModel(folderOf(name, "model"), { device });

  for (const name of families) {
    Deno.test(`${device.backend}: ${name}: PEFT's adapter gives PEFT's logits and gradients`, async () => {
      const model = await loadAdapter(await load(name), folderOf(name, "adapter"));
      const cases = await readCases(name), expected = await readExpected(name);
      assert.equal(countTrainable(model).trainable, cases.adapterParameters);
      for (const [i, { inputIds }] of cases.rows.entries()) {
        const { data } = await logits(model, inputIds);
        assertClose(data, expected.get(`adapterLogits.${i}`), 1e-4, `logits of row ${i}`);
      }
      for (const layout of ["packed", "padded"] as const) {
        for (const checkpointing of [true, false]) {
          const result = await gradients(model, batchOf(cases.rows, { layout }), { checkpointing });
          assertClose([result.loss], [cases.adapterLoss], 1e-5, "loss");
          assert.equal(Object.keys(result.gradients).length, activeAdapter(model)!.parameters.size);
          for (const [tensor, values] of Object.entries(result.gradients)) {
            assertClose(values, expected.get(`gradient.${tensor}`), 1e-5, tensor);
          }
        }
      }
    });
  }

  Deno.test(`${device.backend}: rsLoRA and all-linear`, async () => {
    const cases = await readJson<Variants>("llama_variants", "cases.json");
    const expected = await readExpected("llama_variants");
    const base = await load("llama_tied");
    for (const [variant, { folder, scaling, parameters }] of Object.entries(cases.adapters)) {
      const model = await loadAdapter(base, folderOf("llama_variants", folder));
      assert.equal(loraScale(activeAdapter(model)!.config), scaling);
      assert.equal(countTrainable(model).trainable, parameters);
      for (const [i, { inputIds }] of cases.rows.entries()) {
        const { data } = await logits(model, inputIds);
        assertClose(data, expected.get(`${variant}.adapterLogits.${i}`), 1e-4, `${variant}, row ${i}`);
      }
    }
  });

  Deno.test(`${device.backend}: a saved adapter is the one that was saved`, () =>
    inFolder(async (temporary) => {
      const base = await load("llama_tied"), folder = join(temporary, "new", "adapter");
      const original = folderOf("llama_tied", "adapter");
      await saveAdapter(await loadAdapter(base, original), folder);
      assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), [
        "adapter_config.json",
        "adapter_model.safetensors",
      ]);
      const file = "adapter_model.safetensors";
      assert.deepEqual(await Deno.readFile(join(folder, file)), await Deno.readFile(join(original, file)));
      const again = await loadAdapter(base, folder, { name: "again" });
      assert.equal(again.active, "again");
      const saved = JSON.parse(await Deno.readTextFile(join(folder, "adapter_config.json")));
      const peft = JSON.parse(await Deno.readTextFile(join(original, "adapter_config.json")));
      for (const [field, value] of Object.entries(saved)) {
        assert.deepEqual(value, field === "base_model_name_or_path" ? base.name : peft[field], field);
      }
    }));

  Deno.test(`${device.backend}: an adapter is replaced only when that is asked for`, () =>
    inFolder(async (folder) => {
      const base = await load("llama_tied");
      const adapters = [2, 3].map((r) => attachLoRA(base, { r, quiet: true }));
      await saveAdapter(adapters[0], folder);
      await assert.rejects(
        saveAdapter(adapters[1], folder),
        userError(/already holds an adapter.*overwrite/),
      );
      assert.equal(activeAdapter(await loadAdapter(base, folder))?.config.r, 2);
      await saveAdapter(adapters[1], folder, { overwrite: true });
      assert.equal(activeAdapter(await loadAdapter(base, folder))?.config.r, 3);
      await assert.rejects(saveAdapter(base, folder), userError(/no adapter in use/));
      await Deno.writeTextFile(join(folder, "file"), "");
      await assert.rejects(
        saveAdapter(adapters[0], join(folder, "file", "x")),
        userError(/leads through a file where a folder is expected/),
      );
    }));

  Deno.test(`${device.backend}: no adapter is saved beside a model's files, asked for or not`, () =>
    inFolder(async (folder) => {
      const base = await load("llama_tied"), adapted = attachLoRA(base, { r: 2, quiet: true });
      const files = [
        "model.safetensors",
        "model-00001-of-00002.safetensors",
        "pytorch_model.bin",
        "config.json",
      ];
      for (const [i, file] of files.entries()) {
        const own = join(folder, String(i));
        await Deno.mkdir(own);
        await Deno.writeTextFile(join(own, file), "{}");
        for (const overwrite of [false, true]) {
          const message = new RegExp(`holds a model \\(${file}\\).*choose another folder`);
          await assert.rejects(saveAdapter(adapted, own, { overwrite }), userError(message));
        }
        assert.deepEqual([...Deno.readDirSync(own)].map(({ name }) => name), [file]);
      }
      const trained = join(folder, "trained"); // other trainers put the base's config.json beside their adapters
      await saveAdapter(adapted, trained);
      await Deno.writeTextFile(join(trained, "config.json"), "{}");
      await saveAdapter(adapted, trained, { overwrite: true });
    }));

  Deno.test(`${device.backend}: several adapters over one base`, async () => {
    const base = await load("llama_tied");
    const { rows } = await readCases("llama_tied"), ids = rows[3].inputIds;
    const answers = async (model: Model) => (await logits(model, ids)).data.slice();
    const before = await answers(base), buffers = device.memory().buffers;
    const one = await loadAdapter(base, folderOf("llama_tied", "adapter"), { name: "one" });
    const both = await loadAdapter(one, folderOf("llama_variants", "adapter_all_linear"), { name: "two" });
    assert.equal(both.weights, base.weights);
    assert.equal(device.memory().buffers - buffers, 16 + 28);
    const expected = await readExpected("llama_tied");
    assertClose(await answers(useAdapter(both, "one")), expected.get("adapterLogits.3"), 1e-4, "first");
    assert.deepEqual(await answers(useAdapter(both, "one")), await answers(one));
    assert.notDeepEqual(await answers(both), await answers(one));
    assert.deepEqual(await answers(useAdapter(both, undefined)), before);
    assert.throws(() => useAdapter(both, "three"), userError(/no adapter "three"; it has: one, two/));
    await assert.rejects(
      loadAdapter(both, folderOf("llama_tied", "adapter"), { name: "two" }),
      userError(/already has an adapter "two"/),
    );
  });

  Deno.test(`${device.backend}: a new adapter starts as PEFT's: A uniform, B zero, the base's answers`, async () => {
    const base = await load("llama_tied"), { rows } = await readCases("llama_tied");
    const start = async (options: PlainLoRAOptions) => {
      const model = attachLoRA(base, { r: 64, quiet: true, ...options });
      const { parameters } = activeAdapter(model)!;
      const data = await device.read(...parameters.values());
      return {
        model,
        values: new Map([...parameters.keys()].map((name, i) => [name, data[i] as Float32Array])),
      };
    };
    const { model, values } = await start({ targetModules: "all-linear" });
    const reference = await readJson<InitRow>("llama_extras", "lora_init.json");
    const seen = new Set<string>();
    for (const [name, matrix] of values) {
      if (name.includes("lora_B")) assert.ok(matrix.every((x) => x === 0), name);
      else {
        const inFeatures = matrix.length / 64, bound = 1 / Math.sqrt(inFeatures);
        const largest = matrix.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
        const deviation = Math.sqrt(matrix.reduce((sum, x) => sum + x * x, 0) / matrix.length);
        assert.ok(largest <= bound && largest > 0.99 * bound, `${name}: ${largest} of ${bound}`);
        assertClose([deviation], [bound / Math.sqrt(3)], 0.02 * bound, name);
        for (const row of reference.rows) {
          if (row.inFeatures === inFeatures) assertClose([bound], [row.bound], 1e-9, name);
        }
        seen.add(matrix.slice(0, 8).join());
      }
    }
    assert.equal(seen.size, 14, "every A has numbers of its own");
    assert.deepEqual(
      (await logits(model, rows[1].inputIds)).data,
      (await logits(base, rows[1].inputIds)).data,
    );
    const name = "base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight";
    const [same, other] = [await start({ seed: 0 }), await start({ seed: 1 })].map(({ values }) =>
      values.get(name)
    );
    assert.deepEqual(same, values.get(name));
    assert.notDeepEqual(other, same);
  });

  Deno.test(`${device.backend}: the count of trainable parameters as PEFT prints it`, async () => {
    const model = attachLoRA(await load("llama_tied"), {
      r: 4,
      targetModules: ["q_proj", "k_proj", "v_proj", "o_proj"],
      quiet: true,
    });
    assert.equal(
      trainableSummary(model),
      "trainable params: 3,584 || all params: 85,312 || trainable%: 4.2011",
    );
    const peft = await readTensors(folderOf("llama_tied", "adapter", "adapter_model.safetensors"));
    assert.deepEqual([...activeAdapter(model)!.parameters.keys()].sort(), [...peft.keys()].sort());
  });
}

interface Variants {
  rows: { inputIds: number[] }[];
  adapters: Record<string, { folder: string; scaling: number; parameters: number }>;
}

interface InitRow {
  rows: { inFeatures: number; bound: number }[];
}

interface ConfigVariants {
  variants: {
    name: string;
    config: Record<string, unknown>;
    modules?: Record<string, { r: number; scaling: number }>;
    trainable?: number;
  }[];
}

const tied: ModelConfig = parseConfig(await readJson("llama_tied", "model", "config.json"));

/** What each refused variant's message must name. */
const REFUSED: Record<string, RegExp> = {
  modules_to_save: /modules_to_save .* is not supported/,
  rank_pattern: /rank_pattern .* is not supported/,
  alpha_pattern: /alpha_pattern .* is not supported/,
  lora_bias: /lora_bias .* is not supported/,
  trainable_token_indices: /trainable_token_indices .* is not supported/,
  layer_replication: /layer_replication .* is not supported/,
  target_parameters: /target_parameters .* is not supported/,
  megatron: /megatron_config .* is not supported/,
  peft_type: /peft_type is "IA3"/,
  task_type_other: /task_type is "SEQ_2_SEQ_LM"/,
  rank_zero: /rank r must be a whole number from 1 on, not 0/,
};

const { variants } = await readJson<ConfigVariants>("llama_extras", "adapter_configs.json");
for (const { name, config, modules, trainable } of variants) {
  Deno.test(`adapter_config.json with ${name}: ${REFUSED[name] ? "refused" : "the modules that PEFT adapts"}`, () => {
    if (REFUSED[name]) {
      assert.throws(() => parseAdapterConfig(config, tied, "adapter_config.json"), userError(REFUSED[name]));
      return;
    }
    const parsed = parseAdapterConfig(config, tied, "adapter_config.json");
    const shapes = adapterShapes(tied, parsed);
    const adapted = [...shapes.keys()].map((tensor) => tensor.match(/^base_model\.model\.(.*)\.lora_/)![1]);
    assert.deepEqual([...new Set(adapted)].sort(), Object.keys(modules!).sort());
    assert.equal(shapes.values().reduce((sum, [a, b = 1]) => sum + a * b, 0), trainable);
    for (const { r, scaling } of Object.values(modules!)) {
      assert.deepEqual([parsed.r, loraScale(parsed)], [r, scaling]);
    }
    // What is saved of it asks for the same.
    const saved = parseAdapterConfig(
      JSON.parse(adapterConfigText(parsed, { name: "base", config: tied })),
      tied,
      "adapter_config.json",
    );
    assert.deepEqual(adapterShapes(tied, saved), shapes);
  });
}

Deno.test("other settings of adapter_config.json", () => {
  const plain = { peft_type: "LORA", r: 4, target_modules: ["q_proj"] };
  const parse = (fields: Record<string, unknown>) =>
    parseAdapterConfig({ ...plain, ...fields }, tied, "a.json");
  assert.deepEqual(parse({ target_modules: ["q_proj", "query_key_value"] }).targetModules, ["q_proj"]);
  assert.deepEqual(parse({ newest_field: false, another: {}, third: null }).r, 4);
  assert.equal(parse({ layers_to_transform: 1 }).targetModules.join(), "model.layers.1.self_attn.q_proj");
  const refused: [Record<string, unknown>, RegExp][] = [
    [{ newest_field: { on: 1 } }, /a\.json: newest_field is not supported/],
    [{ use_qalora: true }, /use_qalora \(QA-LoRA\)/],
    [{ arrow_config: { router: "x" } }, /arrow_config/],
    [{ init_lora_weights: "olora" }, /"olora", which starts from changed base weights/],
    [
      { target_modules: ["c_attn"] },
      /\["c_attn"\]\) are no linear layers of this model: it is for another one/,
    ],
    [{ target_modules: "(" }, /regular expression that cannot be read/],
    [{ target_modules: [3] }, /target_modules must be a list of module names/],
    [{ target_modules: null }, /target_modules must be a list/],
    [{ target_modules: ["lm_head"] }, /lm_head is not supported/],
    [{ layers_to_transform: ["0"] }, /layers_to_transform must be layer numbers/],
    [{ layers_to_transform: [7] }, /no linear layers of this model/],
    [{ layers_to_transform: [0], layers_pattern: "blocks" }, /layers_pattern is "blocks"/],
    [{ r: "4" }, /r must be a number, but it is "4"/],
    [{ lora_alpha: -1 }, /alpha is -1/],
    [{ lora_dropout: 1 }, /dropout is 1/],
    [{ use_rslora: "yes" }, /use_rslora must be true or false/],
  ];
  for (const [fields, pattern] of refused) {
    assert.throws(() => parse(fields), userError(pattern), JSON.stringify(fields));
  }
});
