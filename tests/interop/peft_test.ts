// The real PEFT on the other side, both ways: it loads what was trained and saved here, and makes what is loaded here.
// Run by `deno task test:interop`; FINTUNE_PYTHON names a Python with requirements.txt installed (default python3).
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { batchOf } from "../../lib/data/batch.ts";
import { attachLoRA, countTrainable, type LoRAOptions } from "../../lib/lora.ts";
import { loadModel } from "../../lib/models/load.ts";
import type { Model } from "../../lib/models/model.ts";
import { saveModel } from "../../lib/models/save_model.ts";
import { loadAdapter, saveAdapter } from "../../lib/peft.ts";
import { adamW } from "../../lib/train/adamw.ts";
import { trainEpoch } from "../../lib/train/epoch.ts";
import { logits, type Matrix } from "../../lib/train/inspect.ts";
import { train } from "../../lib/train/run.ts";
import { devices } from "../devices.ts";
import { assertClose, type Cases, readCases, readTensors, referenceFolder } from "../references.ts";

const script = fromFileUrl(new URL("./peft_interop.py", import.meta.url));

interface Answer {
  rows: number;
  adapterParameters: number;
  loss: number;
  peft: string;
}

/** Runs the script; its answer and the logits of each row. */
async function python(...options: string[]): Promise<Answer & { logits: Map<string, Float32Array> }> {
  const out = await Deno.makeTempFile({ suffix: ".safetensors" });
  try {
    const command = new Deno.Command(Deno.env.get("FINTUNE_PYTHON") ?? "python3", {
      args: [script, ...options, "--out", out],
      stderr: "piped",
    });
    const { success, stdout, stderr } = await command.output();
    assert.ok(success, new TextDecoder().decode(stderr));
    return {
      ...JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!),
      logits: await readTensors(out),
    };
  } finally {
    await Deno.remove(out);
  }
}

const baseFolder = (name: string) => join(referenceFolder(name), "model");
const rowsFile = (name: string) => join(referenceFolder(name), "cases.json");

/** After each of a text's tokens, or of an answer's behind T5's start token. */
function rowLogits(model: Model, { inputIds, labels }: Cases["rows"][number]): Promise<Matrix> {
  if (!model.config.encoderDecoder) return logits(model, inputIds);
  const before = labels.slice(0, -1).map((id) => id === -100 ? 0 : id);
  return logits(model, inputIds, { decoderInputIds: [0, ...before] });
}

async function assertSame(
  model: Model,
  name: string,
  answer: Awaited<ReturnType<typeof python>>,
): Promise<void> {
  const { rows } = await readCases(name);
  assert.equal(answer.rows, rows.length);
  assert.equal(answer.adapterParameters, countTrainable(model).trainable);
  for (const [i, row] of rows.entries()) {
    assertClose((await rowLogits(model, row)).data, answer.logits.get(`logits.${i}`), 1e-4, `row ${i}`);
  }
}

const all = await devices();

const ours: [string, LoRAOptions][] = [
  ["llama_tied", { r: 4, alpha: 8, dropout: 0.05, targetModules: ["q_proj", "k_proj", "v_proj", "o_proj"] }],
  ["llama_headdim", { r: 3, alpha: 6, useRslora: true, targetModules: "all-linear" }],
  ["t5_gated_untied", { r: 4, alpha: 8, dropout: 0.1, targetModules: ["q", "v", "o"] }],
  ["qwen2_bias", { r: 4, alpha: 8, useDora: true, bias: "all", targetModules: ["q_proj", "o_proj"] }],
  ["llama_tied", { r: 4, alpha: 8, initLoraWeights: "pissa", targetModules: ["q_proj", "down_proj"] }],
  ["t5_gated_untied", { r: 4, alpha: 8, useDora: true, targetModules: ["q", "v", "wo"] }],
  ["t5_tied", { r: 2, alpha: 8, targetModules: "all-linear" }],
];
for (const [i, [name, options]] of ours.entries()) {
  const device = all[i % all.length]; // the files do not depend on it: each backend trains one
  Deno.test(`${device.backend}: PEFT loads an adapter trained and saved here: ${name} ${i + 1}`, async () => {
    const folder = await Deno.makeTempDir();
    const base = await loadModel(baseFolder(name), { device });
    const model = await attachLoRA(base, { ...options, quiet: true });
    const { rows } = await readCases(name);
    const decoderStartTokenId = base.config.encoderDecoder?.decoderStartTokenId;
    const batches = Array.from({ length: 5 }, () => batchOf(rows, { decoderStartTokenId }));
    await trainEpoch(model, batches, { optimizer: adamW(model, { learningRate: 0.02 }), quiet: true });
    await saveAdapter(model, folder);
    const answer = await python(
      ...["logits", "--base", baseFolder(name), "--rows", rowsFile(name), "--adapter", folder],
    );
    await assertSame(model, name, answer);
    const plain = (await rowLogits(base, rows[3])).data;
    const moved = answer.logits.get("logits.3")!.some((x, i) => Math.abs(x - plain[i]) > 0.1);
    assert.ok(moved, "the adapter changes the answers");
    await Deno.remove(folder, { recursive: true });
  });
}

Deno.test("PEFT loads a checkpoint of a run as it is", async () => {
  const folder = await Deno.makeTempDir(), name = "llama_tied", { rows } = await readCases(name);
  const model = attachLoRA(await loadModel(baseFolder(name), { device: all[0] }), {
    r: 4,
    dropout: 0.1,
    quiet: true,
  });
  const { checkpoint } = await train(model, [batchOf(rows)], {
    optimizer: adamW(model, { learningRate: 0.02 }),
    maxSteps: 5,
    out: folder,
    quiet: true,
  });
  const answer = await python(
    ...["logits", "--base", baseFolder(name), "--rows", rowsFile(name), "--adapter", checkpoint!],
  );
  await assertSame(model, name, answer);
  await Deno.remove(folder, { recursive: true });
});

for (const name of ["t5_gated_untied", "t5_tied"]) {
  Deno.test(`transformers loads what saveModel wrote: ${name}`, async () => {
    const folder = join(await Deno.makeTempDir(), "model"), { rows } = await readCases(name);
    const model = await loadModel(baseFolder(name), { device: all[0] });
    await saveModel(model, folder);
    const answer = await python("logits", "--base", folder, "--rows", rowsFile(name));
    for (const [i, row] of rows.entries()) {
      assertClose((await rowLogits(model, row)).data, answer.logits.get(`logits.${i}`), 1e-4, `row ${i}`);
    }
    await Deno.remove(join(folder, ".."), { recursive: true });
  });
}

const theirs: [string, string[]][] = [
  ["llama_rope3", ["--r", "5", "--alpha", "10"]],
  ["llama_tied", ["--targets", "all-linear", "--rslora"]],
  ["t5_gated_untied", ["--targets", "q,v,o"]],
];
for (const [name, options] of theirs) {
  Deno.test(`an adapter made by PEFT loads here, on every backend: ${name}`, async () => {
    const folder = await Deno.makeTempDir();
    const answer = await python(
      ...["make", "--base", baseFolder(name), "--rows", rowsFile(name), "--adapter", folder, ...options],
    );
    for (const device of all) {
      await assertSame(
        await loadAdapter(await loadModel(baseFolder(name), { device }), folder),
        name,
        answer,
      );
    }
    await Deno.remove(folder, { recursive: true });
  });
}
