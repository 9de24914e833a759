// The README's script, as written, with a loopback Hub that has its two names; and the example itself.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { financeQuestions } from "../examples/tiny/questions.ts";
import { startHub } from "./hub_server.ts";

const root = fromFileUrl(new URL("..", import.meta.url));

async function run(
  args: string[],
  cwd: string,
  variables: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { FINTUNE_BACKEND: "cpu", NO_COLOR: "1", ...variables };
  const command = new Deno.Command(Deno.execPath(), { args, cwd, env, stdout: "piped", stderr: "piped" });
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

async function tinyModel(): Promise<Record<string, Uint8Array>> {
  const from = join(root, "examples/tiny/model"), files: Record<string, Uint8Array> = {};
  for await (const { name } of Deno.readDir(from)) files[name] = await Deno.readFile(join(from, name));
  return files;
}

Deno.test("the README's script runs as written", async () => {
  const folder = await Deno.makeTempDir();
  const readme = await Deno.readTextFile(join(root, "README.md"));
  const text = readme.match(/```ts\n([\s\S]*?)```/)![1];
  assert.match(text, /trainEpoch/);
  await Deno.writeTextFile(join(folder, "script.ts"), text);
  const { train, test } = financeQuestions({ train: 36, test: 100, seed: 5 });
  await using hub = startHub({
    "models/TinyLlama/TinyLlama-1.1B-Chat-v1.0": {
      files: { ...await tinyModel(), "pytorch_model.bin": "old weights" },
    },
    "datasets/gbharti/finance-alpaca": {
      files: { "Cleaned_date.json": JSON.stringify([...train, ...test]) },
    },
  });
  const variables = {
    HF_ENDPOINT: hub.url,
    HF_HUB_CACHE: join(folder, "cache"),
    HF_TOKEN: "",
    HF_HUB_OFFLINE: "",
  };
  const script = ["run", "--no-prompt", "--config", join(root, "deno.json"), "-P=hub", "script.ts"];
  const { code, stdout, stderr } = await run(script, folder, variables);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /trainable params: 81,920 \|\| all params: 1,951,424/);
  const losses = [...stdout.matchAll(/^(\d) (\S+) (\S+)$/gm)].map((
    [, , training, validation],
  ) => [+training, +validation]);
  assert.equal(losses.length, 3);
  assert.ok(losses[2][0] < losses[0][0], `training loss ${losses}`);
  assert.match(stdout, /rougeLsum/);
  const config = JSON.parse(
    await Deno.readTextFile(join(folder, "out/tinyllama-finance/adapter_config.json")),
  );
  assert.equal(config.r, 16);
  assert.equal(config.base_model_name_or_path, "TinyLlama/TinyLlama-1.1B-Chat-v1.0");
  const fetched = hub.log.filter(({ path }) => path.includes("/resolve/")).map(({ path }) =>
    path.split("/").at(-1)
  );
  const model = ["config", "generation_config", "special_tokens_map", "tokenizer", "tokenizer_config"];
  const expected = [...model.map((name) => `${name}.json`), "model.safetensors", "Cleaned_date.json"];
  assert.deepEqual(fetched.sort(), expected.sort());
  await Deno.remove(folder, { recursive: true });
});

Deno.test("the example as a process, under its own permissions and without network", async () => {
  const folder = await Deno.makeTempDir();
  const { code, stdout, stderr } = await run(
    ["run", "-P=train", "examples/tinyllama_finance_alpaca.ts", "--max-steps", "12", "--out", folder],
    root,
  );
  assert.equal(code, 0, stderr);
  assert.match(stdout, /trainable params: 81,920/);
  assert.match(stdout, /in NF4 with the adapter/);
  assert.match(stdout, /step 12\/12/);
  assert.match(stdout, /\| rougeL/);
  for (
    const name of ["loss.svg", "loss.png", "rouge.svg", "rouge.png", "adapter/adapter_model.safetensors"]
  ) {
    assert.ok((await Deno.stat(join(folder, name))).size > 500, name);
  }
  await Deno.remove(folder, { recursive: true });
});
