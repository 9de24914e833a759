// HTTP in a thread of its own: it answers while the main thread computes; which permissions that takes, and what goes without.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { financeQA } from "../lib/data/prompt.ts";
import { post, serveTiny, tinyModel } from "./served.ts";

const here = import.meta.dirname!, root = join(here, "..");

/** Keeps the main thread from doing anything until the file is there. */
function blockUntil(file: string, milliseconds: number): boolean {
  const cell = new Int32Array(new SharedArrayBuffer(4)), end = performance.now() + milliseconds;
  while (performance.now() < end) {
    try {
      Deno.statSync(file);
      return true;
    } catch {
      Atomics.wait(cell, 0, 0, 20);
    }
  }
  return false;
}

Deno.test("health, figures, refusals and a full queue are answered while the main thread computes", async () => {
  const model = await tinyModel(), folder = await Deno.makeTempDir(), file = join(folder, "statuses.json");
  const server = await serveTiny(model, { maxStreams: 1, maxQueue: 0, maxLength: 512 });
  const body = { model: "tiny", messages: [{ role: "user", content: "Who?" }], max_tokens: 400 };
  const running = await post(`${server.url}/v1/chat/completions`, {
    ...body,
    logit_bias: { 2: -100 },
    stream: true,
  });
  for (let begun = false; !begun;) { // not waiting any more, and its prompt read
    const text = await (await fetch(`${server.url}/metrics`)).text();
    begun = /^fintune_running 1$/m.test(text) && !/^fintune_prompt_tokens_read_total 0$/m.test(text);
  }
  const client = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", join(here, "serve_thread_child.ts"), server.url, file],
  }).spawn();
  assert.ok(blockUntil(file, 60_000), "the client got no answers");
  // Five times health, the models, no JSON, a model that is not there, more than there are places, a full queue.
  const { statuses, figures } = JSON.parse(await Deno.readTextFile(file));
  assert.deepEqual(statuses, [200, 200, 200, 200, 200, 200, 400, 404, 400, 429]);
  const prompt = financeQA.question({ instruction: "Who?", input: "" });
  assert.deepEqual(figures, [1, 0, model.tokenizer!.encode(prompt).length]);
  assert.ok((await client.status).success);
  await running.body?.cancel(); // gives the place back
  const ask = () => post(`${server.url}/v1/chat/completions`, { ...body, max_tokens: 2 });
  let after = await ask();
  while (after.status === 429) { // that its client has left takes a moment
    await after.body?.cancel();
    after = await ask();
  }
  assert.equal(after.status, 200);
  assert.equal((await after.json()).usage.completion_tokens, 2);
  await server.stop();
  await Deno.remove(folder, { recursive: true });
});

/** Serves with these permissions: what the script printed, and standard error without what is no error. */
async function served(...permissions: string[]): Promise<{ said: string; answer: unknown }> {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", ...permissions, "tests/serve_small.ts"],
    cwd: root,
    env: { FINTUNE_BACKEND: "cpu", NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  const lines = text(stderr).split("\n");
  const said = lines.filter((line) => !/XDG_RUNTIME_DIR|^Warning Permissions in the config/.test(line)).join(
    "\n",
  );
  return { said, answer: JSON.parse(text(stdout) || "null") };
}

Deno.test("-P=serve is enough; without permission to read the library HTTP stays in the main thread; without the network it says so", async () => {
  const usual = await served("-P=serve");
  assert.deepEqual(usual, { said: "", answer: { health: "ok", tokens: 4 } });
  const model = join(root, "examples/tiny/model");
  const narrow = await served("--allow-net=127.0.0.1", "--allow-ffi", `--allow-read=${model}`, "--allow-env");
  assert.deepEqual(narrow, usual);
  const without = await served("-P=train");
  assert.match(
    without.said,
    /UserError: The server cannot listen at 127\.0\.0\.1, port 0 \(Requires net access .*: run with --allow-net/,
  );
});

Deno.test("the thread of HTTP loads little, and nothing by a name that only this repository's settings know", async () => {
  const args = ["info", "--json", "lib/serve/thread_http.ts"];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args, cwd: root }).output();
  type Import = { specifier: string; code?: { specifier: string } };
  const { roots, modules }: { roots: string[]; modules: { specifier: string; dependencies?: Import[] }[] } =
    JSON.parse(
      new TextDecoder().decode(stdout),
    );
  const seen = new Set<string>(), open = [...roots];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const { dependencies = [] } = modules.find(({ specifier }) => specifier === name) ?? {};
    seen.add(name);
    for (const { specifier, code } of dependencies.filter(({ code }) => code)) {
      assert.match(specifier, /^(\.\.?\/|node:)/, name);
      if (!seen.has(code!.specifier)) open.push(code!.specifier);
    }
  }
  assert.ok(seen.size > 10 && seen.size < 25, `${seen.size}`);
});
