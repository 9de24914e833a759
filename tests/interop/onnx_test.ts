// exportONNX's files in the real Transformers.js: our own greedy tokens, alone and in a batch that is filled up, and our texts;
// every family, from the embedded trained models. And onnx's own checker over all files.
// Run by `deno task test:interop`; FINTUNE_PYTHON names a Python with requirements.txt installed (default python3).
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { generate } from "../../lib/generate/generate.ts";
import { openDevice } from "../../lib/engine/open.ts";
import { loadModel } from "../../lib/models/load.ts";
import { exportONNX, exportWithin } from "../../lib/onnx/export.ts";
import { roundedToBlocks } from "../onnx_files.ts";
import { type JsDtype, openTransformersJs } from "./transformers_js.ts";

const device = await openDevice({ backend: "cpu" });
const embedded = (name: string) =>
  loadModel(fromFileUrl(new URL(`../../examples/${name}`, import.meta.url)), { device });

/** A long and a short prompt, so that one is filled up; the first of Mistral's is longer than its window. */
const news =
  "The firm said that its profit rose in the third quarter, as sales of tools in the north grew and costs fell. ";
const table =
  "Table loans: id INTEGER, amount INTEGER, year INTEGER.\nGenerate SQL query to answer the following question.\n";
const prompts: Record<string, [string, string]> = {
  "tiny/model": ["A bond fund is a fund. What is a bond?", "A loan is"],
  "finsight/model": ["My friend asked about shares. What is a share?", "The bank"],
  "qwen2_risk/model": ["这条消息说的是泰金物流，利润下降。", "公司"],
  "fingpt/model/mistral": [news + news + "The share", "The market"],
  "fingpt/model/gemma": [`What is the sentiment of this news? ${news}`, "A bond"],
  "sql/model": [`${table}How many loans are there?\nAnswer: `, "What is the table called?"],
};
const types: [type: "f32" | "f16" | "q8" | "q4", dtype: JsDtype][] = [
  ["f32", "fp32"],
  ["f16", "fp16"],
  ["q8", "q8"],
  ["q4", "q4"],
];

for (const [name, texts] of Object.entries(prompts)) {
  Deno.test({
    name: `Transformers.js answers as we do: ${name}`,
    sanitizeResources: false,
    sanitizeOps: false,
    async fn() {
      const model = await embedded(name), parent = await Deno.makeTempDir(), folder = join(parent, "model");
      for (const [type, dtype] of types) {
        // Files of few bits are held against the model with such weights; activations in eight bits would tip near ties.
        await exportONNX(model, folder, { type, accuracyLevel: 0 });
        const own = type === "q8" || type === "q4" ? roundedToBlocks(model, type === "q8" ? 8 : 4) : model;
        const ids = texts.map((text) => own.tokenizer!.encode(text));
        const expected = await generate(own, ids, { maxNewTokens: 64, eosTokenIds: [] });
        const js = await openTransformersJs(folder, { dtype, encoderDecoder: !!model.config.encoderDecoder });
        assert.deepEqual(await js.greedy(texts, 64), expected, `${type}, together`);
        assert.deepEqual((await js.greedy([texts[1]], 64))[0], expected[1], `${type}, alone`);
        if (type === "f32") {
          const [text] = texts;
          assert.equal(await js.text(text, 64), await generate(own, text, { maxNewTokens: 64 }), "pipeline");
        }
        await js.close();
      }
      await Deno.remove(parent, { recursive: true });
    },
  });
}

Deno.test({
  name: "Transformers.js takes the type that was exported first where none is named",
  sanitizeResources: false,
  sanitizeOps: false,
  async fn() {
    const model = await embedded("finsight/model"), parent = await Deno.makeTempDir();
    for (const [first, second] of [["q8", "q4"], ["q4", "f32"]] as const) {
      const folder = join(parent, first), [prompt] = prompts["finsight/model"];
      await exportONNX(model, folder, { type: first });
      const answer = async (dtype?: JsDtype) => {
        const js = await openTransformersJs(folder, { dtype, encoderDecoder: false });
        const text = await js.text(prompt, 32);
        await js.close();
        return text;
      };
      const alone = await answer(); // its own choice, model.onnx, is not there
      await exportONNX(model, folder, { type: second });
      assert.deepEqual([await answer(), await answer(first)], [alone, alone]);
    }
    await Deno.remove(parent, { recursive: true });
  },
});

Deno.test({
  name: "Transformers.js finds data that lie beside the model",
  sanitizeResources: false,
  sanitizeOps: false,
  async fn() {
    const model = await embedded("finsight/model"), parent = await Deno.makeTempDir();
    const folder = join(parent, "model"), [prompt] = prompts["finsight/model"];
    await exportWithin(600_000, model, folder, {});
    const files = await Array.fromAsync(Deno.readDir(join(folder, "onnx")));
    assert.ok(files.length > 3, `${files.length} files`);
    const js = await openTransformersJs(folder, { dtype: "fp32", encoderDecoder: false });
    assert.equal(await js.text(prompt, 32), await generate(model, prompt, { maxNewTokens: 32 }));
    await js.close();
    await Deno.remove(parent, { recursive: true });
  },
});

Deno.test("onnx's checker passes every file, whose inputs and outputs are those that optimum names", async () => {
  const parent = await Deno.makeTempDir();
  for (const name of ["fingpt/model/mistral", "sql/model"]) {
    const folder = join(parent, name.replaceAll("/", "_"));
    for (const type of ["f32", "f16", "q8", "q4"] as const) {
      await exportONNX(await embedded(name), folder, { type });
    }
  }
  await exportWithin(40_000, await embedded("fingpt/model/gemma"), join(parent, "external"), {});
  const { success, stdout, stderr } = await new Deno.Command(Deno.env.get("FINTUNE_PYTHON") ?? "python3", {
    args: [fromFileUrl(new URL("./onnx_check.py", import.meta.url)), parent],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const { models } = JSON.parse(new TextDecoder().decode(stdout));
  const suffixed = (name: string) =>
    ["", "_fp16", "_q4", "_quantized"].map((suffix) => `${name}${suffix}.onnx`);
  assert.deepEqual(
    Object.keys(models).sort(),
    ["decoder_model_merged", "encoder_model", "model"].flatMap(suffixed).sort(),
  );
  for (const file of suffixed("model")) {
    const { input, output } = models[file];
    assert.deepEqual(input.input_ids, ["batch_size", "sequence_length"]);
    assert.deepEqual(input.position_ids, ["batch_size", "sequence_length"]);
    assert.deepEqual(input.attention_mask, ["batch_size", "past_sequence_length + sequence_length"]);
    assert.deepEqual(input["past_key_values.2.value"].toSpliced(1, 1), [
      "batch_size",
      "past_sequence_length",
      24,
    ]);
    assert.deepEqual(Object.keys(input).length, 3 + 6);
    assert.deepEqual(Object.keys(output).slice(0, 3), ["logits", "present.0.key", "present.0.value"]);
  }
  assert.deepEqual(Object.keys(models["encoder_model.onnx"].output), ["last_hidden_state"]);
  const { input, output } = models["decoder_model_merged.onnx"];
  const rest = ["encoder_attention_mask", "encoder_hidden_states", "input_ids", "use_cache_branch"];
  assert.deepEqual(Object.keys(input).filter((name) => !name.startsWith("past")).sort(), rest);
  assert.ok("present.1.encoder.key" in output && "past_key_values.1.decoder.value" in input);
  await Deno.remove(parent, { recursive: true });
});
