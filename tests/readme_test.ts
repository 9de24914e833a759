// The README as a newcomer follows it: every script runs as it stands, in its order, and prints what the README says; the table
// of models is what the code computes; files, links, tasks, permissions and flags that it names exist.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import {
  countParameters,
  estimateMemory,
  formatBytes,
  formatNumber,
  loadConfig,
  markdownTable,
  parseConfig,
} from "../mod.ts";
import { type HubRepo, variablesFor } from "./hub_server.ts";
import { startPushHub } from "./hub_push_server.ts";

const root = fromFileUrl(new URL("..", import.meta.url));
const readme = await Deno.readTextFile(join(root, "README.md"));

/** A script of the README. */
interface Script {
  heading: string;
  code: string;
  /** Lines that it prints, by the comments behind console.log and the text block below it. */
  prints: string[];
}

/** All scripts; tests/north_star_test.ts runs the long one, for which it has rows and a model. */
function scripts(): { long: string; short: Script[] } {
  const short: Script[] = [];
  let heading = "", long = "";
  for (const [, title, kind, text] of readme.matchAll(/^#+ (.+)$|^```(.*)\n([\s\S]*?)^```$/gm)) {
    if (title) heading = title;
    else if (kind === "text") short.at(-1)!.prints.push(...text.trimEnd().split("\n"));
    else if (text.includes("trainEpoch")) long = text;
    else if (!["sh", "json"].includes(kind)) {
      assert.equal(kind, "ts", "every script is run");
      assert.ok(text.match(/^.+$/gm)!.length <= 12, `${heading}: longer than 12 lines`);
      const prints = [...text.matchAll(/^ *(?:console\.log\(.*|\)+); \/\/ (.+)$/gm)].map(([, said]) => said);
      assert.equal(prints.length, text.split("console.log(").length - 1, `${heading}: a value is not told`);
      short.push({ heading, code: text, prints });
    }
  }
  return { long, short };
}

/** Another CPU rounds otherwise: numbers with a point may differ a little. Of what ends with " ..." only the beginning is told. */
function assertPrinted(said: string[], printed: string): void {
  const shape = (line: string) => line.replace(/\d+\.\d+/g, "#"),
    values = (line: string) => line.match(/\d+\.\d+/g) ?? [];
  const lines = printed.split("\n").map((line) => line.trim());
  for (const line of said) {
    const [begin, rest] = line.split(" ...");
    const at = lines.findIndex((other) =>
      (rest === "" ? other.startsWith(begin) : shape(other) === shape(line)) &&
      values(line).every((value, i) => Math.abs(+value - +values(other)[i]) <= Math.max(0.05, 0.05 * +value))
    );
    assert.ok(at >= 0, `"${line}" is not among what was printed:\n${printed}`);
    lines.splice(0, at + 1);
  }
}

/** A copy of the repository's folder as far as the scripts look at it, and the Hub. */
async function place() {
  const folder = await Deno.makeTempDir();
  await Deno.symlink(join(root, "examples"), join(folder, "examples"), { type: "dir" });
  const model: Record<string, Uint8Array> = {};
  for (const { name } of Deno.readDirSync(join(root, "examples/tiny/model"))) {
    model[name] = await Deno.readFile(join(root, "examples/tiny/model", name));
  }
  const hub = startPushHub({
    "models/Qwen/Qwen2.5-7B-Instruct": {
      files: { "config.json": JSON.stringify(models["Qwen2.5-7B"]) },
    },
    "models/HuggingFaceTB/SmolLM2-135M-Instruct": { files: model },
  });
  return {
    folder,
    hub,
    env: { ...variablesFor(hub, join(folder, "cache")), FINTUNE_BACKEND: "cpu", NO_COLOR: "1" },
    async [Symbol.asyncDispose]() {
      await hub[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

async function deno(cwd: string, env: Record<string, string>, ...args: string[]): Promise<string> {
  const options = { args, cwd, env, stdout: "piped", stderr: "piped" } as const;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), options).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

const config = ["--config", join(root, "deno.json")];
const permissions = ["run", "--no-prompt", "--no-check", ...config, "-P=hub"];

Deno.test("every script of the README runs as it stands and prints what is said", async (t) => {
  await using at = await place();
  const { folder, env, hub } = at, { short, long } = scripts();
  const files = [...short, { code: long }].map((_, i) => join(folder, `${i}.ts`));
  for (const [i, { code }] of [...short, { code: long }].entries()) await Deno.writeTextFile(files[i], code);
  const checked = deno(folder, env, "check", ...config, ...files).catch((error) => error); // meanwhile
  for (const [i, { heading, code, prints }] of short.entries()) {
    await t.step(`${i}: ${heading}`, async () => {
      if (/resume:/.test(code)) await stopped(folder, env, files[i]);
      const printed = await deno(folder, env, ...permissions, files[i]);
      assertPrinted(prints, printed.replaceAll(hub.url, "https://huggingface.co"));
    });
  }
  await t.step("what they have left", () => assertLeft(folder, hub));
  await t.step("types", async () => assert.equal(await checked, ""));
});

Deno.test("the README's deno.json makes the library known to a project beside it", async () => {
  const folder = await Deno.makeTempDir(), [, json] = /```json\n([\s\S]*?)```/.exec(readme)!;
  await Deno.writeTextFile(join(folder, "deno.json"), json.replaceAll("../fintune", join(root, ".")));
  const { code, prints } = scripts().short[0];
  await Deno.writeTextFile(join(folder, "main.ts"), code);
  assertPrinted(prints, await deno(folder, {}, "run", "--no-prompt", "main.ts"));
  await Deno.remove(folder, { recursive: true });
});

/** Ctrl-C after the second step: the script says so, and has saved. */
async function stopped(folder: string, env: Record<string, string>, file: string): Promise<void> {
  const args = [...permissions, file];
  const options = { args, cwd: folder, env, stdout: "piped", stderr: "piped" } as const;
  const child = new Deno.Command(Deno.execPath(), options).spawn();
  const ended = child.output();
  const steps = () => Deno.readTextFile(join(folder, "out/long/log.jsonl")).catch(() => "");
  while (!(await steps()).includes('"step":2')) await new Promise((done) => setTimeout(done, 20));
  child.kill("SIGINT");
  const { code, stdout, stderr } = await ended;
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  const [, done] = /^signal (\d+)$/m.exec(new TextDecoder().decode(stdout)) ??
    assert.fail("it was done already");
  assert.ok(+done >= 2 && +done < 12);
}

async function assertLeft(folder: string, hub: { repos: Record<string, unknown> }): Promise<void> {
  const out = [
    "run/adapter/adapter_model.safetensors",
    "clean.jsonl.gz",
    "run/evaluation/scores.md",
    "merged/model.safetensors",
    "Modelfile",
    "onnx/onnx/model_q4.onnx",
    "run/report.html",
    "long/checkpoint-12/adapter_model.safetensors",
  ];
  for (const path of out) assert.ok((await Deno.stat(join(folder, "out", path))).size > 100, path);
  assert.equal((await loadConfig(join(folder, "out/finance.gguf"))).vocabSize, 1536);
  const { files, ...repo } = hub.repos["models/me/finance-lora"] as HubRepo;
  assert.equal(repo.private, true);
  const published = ["adapter_config.json", "adapter_model.safetensors", "README.md"];
  assert.ok(published.every((name) => name in files), Object.keys(files).join(", "));
}

const llama = (
  [vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads]:
    number[],
  more: object = {},
): Record<string, unknown> => ({
  model_type: "llama",
  ...{
    vocab_size,
    hidden_size,
    intermediate_size,
    num_hidden_layers,
    num_attention_heads,
    num_key_value_heads,
  },
  tie_word_embeddings: false,
  ...more,
});
const tied = { tie_word_embeddings: true };
/** What decides memory in the config.json of each model, and its parameters as its page on the Hub counts them. */
const models: Record<string, Record<string, unknown>> = {
  "SmolLM2-135M": llama([49152, 576, 1536, 30, 9, 3], tied),
  "FLAN-T5-large": {
    model_type: "t5",
    ...{ vocab_size: 32128, d_model: 1024, d_kv: 64, d_ff: 2816, num_layers: 24, num_decoder_layers: 24 },
    ...{ num_heads: 16, relative_attention_num_buckets: 32, decoder_start_token_id: 0 },
    feed_forward_proj: "gated-gelu",
    tie_word_embeddings: false,
  },
  "TinyLlama-1.1B": llama([32000, 2048, 5632, 22, 32, 4]),
  "SmolLM2-1.7B": llama([49152, 2048, 8192, 24, 32, 32], tied),
  "Gemma-2B": llama([256000, 2048, 16384, 18, 8, 1], { model_type: "gemma", head_dim: 256, ...tied }),
  "Mistral-7B": llama([32000, 4096, 14336, 32, 32, 8], { model_type: "mistral" }),
  "Qwen2.5-7B": llama([152064, 3584, 18944, 28, 28, 4], { model_type: "qwen2" }),
};
const parameters = [134515008, 783150080, 1100048384, 1711376384, 2506172416, 7241732096, 7615616512];

Deno.test("the README's table of models is what the code computes", () => {
  const configs = Object.entries(models).map(([model, json]) => ({ model, config: parseConfig(json) }));
  assert.deepEqual(configs.map(({ config }) => countParameters(config)), parameters);
  const table = markdownTable(configs.map(({ model, config }) => {
    const lora = { tokens: 4 * 512, r: 16, targetModules: "all-linear" } as const;
    const nf4 = { ...lora, quantize: "nf4", doubleQuant: true } as const;
    const onCpu = estimateMemory(config, nf4);
    const onGpu = estimateMemory(config, { ...nf4, backend: "webgpu", half: true });
    return {
      model,
      "parameters": `${formatNumber(countParameters(config) / 1e6)} million`,
      "in f32": formatBytes(estimateMemory(config, lora).weights),
      "in NF4": formatBytes(onCpu.weights),
      "LoRA": formatBytes(onCpu.adapter),
      "training, CPU": formatBytes(onCpu.total),
      "training, GPU": formatBytes(onGpu.total),
    };
  }));
  assert.ok(readme.includes(table), `the table is\n${table}`);
});

Deno.test("files, links, tasks, permissions and flags that the README names exist", async () => {
  const { tasks, permissions: sets } = JSON.parse(await Deno.readTextFile(join(root, "deno.json")));
  const paths = [...readme.matchAll(/\]\(([^)#]+)\)|(?:src|href)="([^"]+)"/g)].map(([, link, source]) =>
    link ?? source
  );
  for (const path of paths.filter((path) => !path.startsWith("https:"))) await Deno.stat(join(root, path));
  for (const [, task] of readme.matchAll(/deno task ([\w:]+)/g)) assert.ok(task in tasks, task);
  for (const [, set] of readme.matchAll(/-P=(\w+)/g)) assert.ok(set in sets, set);
  for (const [, path, rest] of readme.matchAll(/(examples\/\w+\.ts)((?: +--[^`\n]*)?)/g)) {
    const own = await Deno.readTextFile(join(root, path));
    const shared = own.includes("...modelFlags")
      ? await Deno.readTextFile(join(root, "examples/chosen.ts"))
      : "";
    const code = own + shared;
    for (const [, flag] of rest.matchAll(/--([\w-]+)/g)) {
      assert.ok(code.includes(`"${flag}": `) || flag === "help", `${path} has no --${flag}`);
    }
  }
});
