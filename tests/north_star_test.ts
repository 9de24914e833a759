// The README's script, as written, in a folder that holds the two names of the Hub as local folders; and the example itself.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { financeQuestions } from "../examples/tiny/questions.ts";

const root = fromFileUrl(new URL("..", import.meta.url));

async function run(args: string[], cwd: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { FINTUNE_BACKEND: "cpu", NO_COLOR: "1" };
  const command = new Deno.Command(Deno.execPath(), { args, cwd, env, stdout: "piped", stderr: "piped" });
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

async function copyModel(to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  const from = join(root, "examples/tiny/model");
  for await (const { name } of Deno.readDir(from)) await Deno.copyFile(join(from, name), join(to, name));
}

Deno.test("the README's script runs as written", async () => {
  const folder = await Deno.makeTempDir();
  const readme = await Deno.readTextFile(join(root, "README.md"));
  const script = readme.match(/```ts ignore\n([\s\S]*?)```/)![1];
  assert.match(script, /trainEpoch/);
  await Deno.writeTextFile(join(folder, "script.ts"), script);
  await copyModel(join(folder, "TinyLlama/TinyLlama-1.1B-Chat-v1.0"));
  const { train, test } = financeQuestions({ train: 36, test: 100, seed: 5 });
  await Deno.mkdir(join(folder, "gbharti/finance-alpaca"), { recursive: true });
  await Deno.writeTextFile(
    join(folder, "gbharti/finance-alpaca/rows.json"),
    JSON.stringify([...train, ...test]),
  );

  const { code, stdout, stderr } = await run(
    ["run", "--config", join(root, "deno.json"), "-A", "script.ts"],
    folder,
  );
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
