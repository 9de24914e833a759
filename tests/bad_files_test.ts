// Files that are damaged, lie, or do not belong together: one clear sentence (a UserError), never a crash.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { openDevice } from "../lib/engine/open.ts";
import { loadModel } from "../lib/models/load.ts";
import { saveModel } from "../lib/models/save_model.ts";
import { loadAdapter } from "../lib/peft.ts";
import { referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

const device = await openDevice({ backend: "cpu" });
const tied = join(referenceFolder("llama_tied"), "model");

/** A copy of a model folder, changed by `change`. */
async function withCopy(
  folder: string,
  change: (copy: string) => Promise<unknown>,
  body: (copy: string) => Promise<void>,
): Promise<void> {
  const copy = await Deno.makeTempDir();
  try {
    for (const { name } of Deno.readDirSync(folder)) {
      await Deno.copyFile(join(folder, name), join(copy, name));
    }
    await change(copy);
    await body(copy);
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
}

/** A folder whose model cannot be loaded, and what the message must say. */
const brokenModel = (
  what: string,
  folder: string,
  change: (copy: string) => Promise<unknown>,
  pattern: RegExp,
) => withCopy(folder, change, (copy) => refused(what, () => loadModel(copy, { device }), pattern));

const editJson = (name: string, fields: Record<string, unknown>) => async (folder: string): Promise<void> => {
  const path = join(folder, name);
  await Deno.writeTextFile(path, JSON.stringify({ ...JSON.parse(await Deno.readTextFile(path)), ...fields }));
};

/** Rewrites the header of model.safetensors. */
const editHeader =
  (edit: (header: Record<string, { shape: number[]; data_offsets: number[]; dtype?: string }>) => unknown) =>
  async (folder: string): Promise<void> => {
    const path = join(folder, "model.safetensors"), bytes = await Deno.readFile(path);
    const end = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, end)));
    edit(header);
    const text = new TextEncoder().encode(JSON.stringify(header)), length = new Uint8Array(8);
    new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
    await Deno.writeFile(path, new Blob([length, text, bytes.subarray(end)]).stream());
  };

Deno.test("weights: truncated files and lying headers", async () => {
  const norm = "model.norm.weight";
  const cases: [string, (folder: string) => Promise<unknown>, RegExp][] = [
    ["cut in the data", (f) => Deno.truncate(join(f, "model.safetensors"), 100_000), /truncated/],
    [
      "cut in the header",
      (f) => Deno.truncate(join(f, "model.safetensors"), 300),
      /truncated or no safetensors/,
    ],
    ["empty", (f) => Deno.truncate(join(f, "model.safetensors"), 0), /only 0 bytes/],
    ["header of exabytes", async (f) => {
      const bytes = await Deno.readFile(join(f, "model.safetensors"));
      bytes.fill(0x7f, 0, 8);
      await Deno.writeFile(join(f, "model.safetensors"), bytes);
    }, /truncated or no safetensors/],
    [
      "no JSON",
      (f) => Deno.writeFile(join(f, "model.safetensors"), new Uint8Array(64).fill(20, 0, 1)),
      /not valid JSON/,
    ],
    [
      "offsets outside",
      editHeader((h) => h[norm].data_offsets = h[norm].data_offsets.map((x) => x + 1e6)),
      /truncated/,
    ],
    ["offsets negative", editHeader((h) => h[norm].data_offsets[0] = -4), /impossible data offsets/],
    ["overlap", editHeader((h) => h[norm].data_offsets = [0, 128]), /overlaps/],
    ["absurd shape", editHeader((h) => h[norm].shape = [2 ** 40, 2 ** 40]), /impossible shape/],
    ["whole numbers", editHeader((h) => h[norm].dtype = "I16"), /model\.norm\.weight is stored as I16/],
    ["wrong shape", editHeader((h) => h[norm].shape = [65]), /needs 130 bytes/],
    [
      "a tensor too few",
      editHeader((h) => (h["model.other.weight"] = h[norm], delete h[norm])),
      /lack model\.norm\.weight/,
    ],
    [
      "other sizes",
      editHeader((h) => h["model.embed_tokens.weight"].shape.reverse()),
      /embed_tokens.*\[64,120\].*\[120,64\]/,
    ],
  ];
  for (const [what, change, pattern] of cases) await brokenModel(what, tied, change, pattern);
});

Deno.test("weights: missing files and shards", async () => {
  const shards = join(referenceFolder("llama_rope3"), "model");
  const shard = "model-00003-of-00004.safetensors";
  await brokenModel(
    "no shard",
    shards,
    (f) => Deno.remove(join(f, shard)),
    /shard model-00003-of-00004\.safetensors.* is missing/,
  );
  await brokenModel("no weights", tied, (f) => Deno.remove(join(f, "model.safetensors")), /has no weights/);
  await brokenModel("no config", tied, (f) => Deno.remove(join(f, "config.json")), /config\.json is missing/);
  await refused("no folder", () => loadModel("no/such/folder", { device }), /no model folder/);
  const extra = editJson("model.safetensors.index.json", {
    weight_map: { "model.norm.weight": "../../other.safetensors" },
  });
  await brokenModel("a path in the index", shards, extra, /which is no shard/);
  const nul = editJson("model.safetensors.index.json", {
    weight_map: { "model.norm.weight": "a\0b.safetensors" },
  });
  await brokenModel("no file's name in the index", shards, nul, /which is no shard/);
});

Deno.test("config.json: impossible sizes", async () => {
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ hidden_size: 0 }, /hidden_size must be a whole number from 1/],
    [{ hidden_size: -64 }, /hidden_size must be a whole number from 1/],
    [{ hidden_size: 1e12 }, /hidden_size must be a whole number from 1/],
    [{ hidden_size: "64" }, /hidden_size must be a whole number from 1/],
    [{ hidden_size: 62, head_dim: null }, /hidden_size 62 is not a multiple of num_attention_heads 4/],
    [{ num_hidden_layers: 1e9 }, /num_hidden_layers must be/],
    [{ num_hidden_layers: 3 }, /lack model\.layers\.2/],
    [{ num_hidden_layers: 1 }, /hold model\.layers\.1.*which a model of this config\.json has not/],
    [{ num_key_value_heads: 3 }, /not a multiple of num_key_value_heads 3/],
    [{ vocab_size: 2.5 }, /vocab_size must be/],
    [{ vocab_size: 121 }, /embed_tokens\.weight is \[120,64\].*implies \[121,64\]/],
    [{ head_dim: 15 }, /width must be even/],
    [{ rms_norm_eps: -1 }, /rms_norm_eps must be a positive number/],
    [{ model_type: "mamba" }, /model_type "mamba" is not supported/],
  ];
  for (const [fields, pattern] of cases) {
    await brokenModel(JSON.stringify(fields), tied, editJson("config.json", fields), pattern);
  }
  const text = (content: string) => (f: string) => Deno.writeTextFile(join(f, "config.json"), content);
  await brokenModel("no JSON", tied, text("{"), /config\.json is not valid JSON/);
  await brokenModel("a list", tied, text("[]"), /should hold a JSON object/);
});

Deno.test("config.json: biases that the weights lack", async () => {
  const broken = (fields: Record<string, unknown>, pattern: RegExp) =>
    brokenModel(JSON.stringify(fields), tied, editJson("config.json", fields), pattern);
  await broken({ attention_bias: true }, /the weights lack model.layers.0.self_attn.q_proj.bias/);
  await broken({ mlp_bias: true }, /the weights lack model.layers.0.mlp.gate_proj.bias/);
});

Deno.test("a tokenizer larger than the embedding", async () => {
  const copyTokenizer = (f: string) =>
    Deno.copyFile(join(referenceFolder("tiny_tokenizer"), "tokenizer.json"), join(f, "tokenizer.json"));
  await brokenModel(
    "tokenizer",
    tied,
    copyTokenizer,
    /tokenizer has \d+ tokens, the embedding only 120 rows/,
  );
});

Deno.test("a list nested so deep that joining it overflows the stack", async () => {
  const deep = "[".repeat(50_000) + "]".repeat(50_000);
  const nested = (folder: string, file: string, from: string, to: string) => async (copy: string) => {
    const text = await Deno.readTextFile(join(folder, file));
    assert.ok(text.includes(from));
    await Deno.writeTextFile(join(copy, file), text.replace(from, to));
  };
  const folder = referenceFolder("tiny_tokenizer");
  const merges = nested(folder, "tokenizer.json", '"merges":[', `"merges":[${deep},`);
  await brokenModel("merges", tied, merges, /each of two tokens/);
  const processor = (copy: string) =>
    nested(
      folder,
      "tokenizer.json",
      '"post_processor":',
      '"post_processor":{"type":"TemplateProcessing","single":["%s"],"pair":[]},"other":',
    )(copy);
  await brokenModel("post_processor", tied, processor, /tokenizer\.json cannot be used/);
});

Deno.test("adapters: of another model, damaged, absent", async () => {
  const adapter = join(referenceFolder("llama_tied"), "adapter");
  const base = await loadModel(tied, { device });
  const load = (folder: string) => loadAdapter(base, folder);
  for (const other of ["llama_headdim", "llama_rope3"]) {
    await refused(
      other,
      () => load(join(referenceFolder(other), "adapter")),
      /the adapter is for another model/,
    );
  }
  await refused("no adapter", () => load(tied), /no folder of a PEFT adapter/);
  const cases: [string, (copy: string) => Promise<unknown>, RegExp][] = [
    ["no weights", (f) => Deno.remove(join(f, "adapter_model.safetensors")), /does not exist/],
    ["cut", (f) => Deno.truncate(join(f, "adapter_model.safetensors"), 5000), /truncated/],
    [
      "more tensors",
      editJson("adapter_config.json", { target_modules: ["q_proj"] }),
      /holds .*k_proj.*which is no tensor of an adapter/,
    ],
    ["fewer tensors", editJson("adapter_config.json", { target_modules: "all-linear" }), /lacks .*gate_proj/],
    ["other rank", editJson("adapter_config.json", { r: 8 }), /is \[4,64\], where this model needs \[8,64\]/],
    ["rank 0", editJson("adapter_config.json", { r: 0 }), /rank r must be a whole number from 1 on/],
    ["a rank beyond memory", editJson("adapter_config.json", { r: 1e12 }), /for another model/],
    ["no JSON", (f) => Deno.writeTextFile(join(f, "adapter_config.json"), "peft"), /not valid JSON/],
    [
      "a pattern that backtracks for ever",
      editJson("adapter_config.json", { target_modules: "(([a-z_.0-9]+)+)+!" }),
      /are no linear layers of this model/,
    ],
  ];
  for (const [what, change, pattern] of cases) {
    await withCopy(adapter, change, (copy) => refused(what, () => load(copy), pattern));
  }
});

Deno.test("a model is replaced only when that is asked for", async () => {
  const model = await loadModel(tied, { device });
  await withCopy(tied, () => Promise.resolve(), async (copy) => {
    const config = await Deno.readTextFile(join(copy, "config.json"));
    await refused("a model", () => saveModel(model, copy), /already holds a model \(config\.json\)/);
    await Deno.remove(join(copy, "model.safetensors"));
    await refused("a configuration", () => saveModel(model, copy), /already holds a model/);
    assert.equal(await Deno.readTextFile(join(copy, "config.json")), config);
    await saveModel(model, copy, { overwrite: true });
    assert.notEqual(await Deno.readTextFile(join(copy, "config.json")), config);
  });
});
