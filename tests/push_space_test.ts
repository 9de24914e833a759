// A space as it is pushed, started as its container starts it: in an empty folder, by a user without rights, with what the
// container's build has fetched; it answers a chat.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { parse } from "yaml";
import { financeQA } from "../lib/data/prompt.ts";
import { generate } from "../lib/generate/generate.ts";
import { attachLoRA } from "../lib/lora.ts";
import { loadModel } from "../lib/models/load.ts";
import { saveAdapter } from "../lib/peft.ts";
import { pushToHub } from "../lib/publish/push_to_hub.ts";
import { bytesOf, type HubRepo, variablesFor, withVariables } from "./hub_server.ts";
import { published, type PushHub, startPushHub } from "./hub_push_server.ts";

const tiny = fromFileUrl(new URL("../examples/tiny/model", import.meta.url));
const SPACE = "spaces/acme/lora-chat";
const NOBODY = 65534;

/** Base and adapter on the Hub, and a space for them. */
async function pushedHub(folder: string): Promise<PushHub> {
  const base: HubRepo = { files: {} };
  for await (const { name } of Deno.readDir(tiny)) base.files[name] = await Deno.readFile(join(tiny, name));
  const hub = startPushHub({ "models/acme/tiny": base });
  await saveAdapter(attachLoRA(await loadModel(tiny), { r: 2, quiet: true }), join(folder, "adapter"));
  await Deno.writeTextFile(join(folder, "log.jsonl"), '{"kind":"step","step":1,"time":1,"loss":2}\n');
  await Deno.writeTextFile(join(folder, "data.json"), '[{"prompt":"financeQA"}]');
  await withVariables(variablesFor(hub, join(folder, "cache")), () =>
    pushToHub(folder, "acme/lora", {
      baseModel: "acme/tiny",
      space: { title: 'Ask "me"', examples: ["What is a bond?"] },
      quiet: true,
      confirm: () => true,
    }));
  return hub;
}

interface Container {
  /** Of the unpacked space. */
  app: string;
  /** What CMD says, with the user's rights taken away where this process has them to give. */
  command: string[];
  env: Record<string, string>;
}

/** What building the container does, without Docker: files, user, home, and the packages that lie in Deno's cache here. */
async function build(hub: PushHub, home: string): Promise<Container> {
  const app = join(home, "app");
  for (const [path, content] of Object.entries(hub.repos[SPACE].files)) {
    await Deno.mkdir(join(app, path, ".."), { recursive: true });
    await Deno.writeFile(join(app, path), bytesOf(content));
  }
  const docker = published(hub, SPACE, "Dockerfile");
  const [, , ...args] = JSON.parse(/^CMD (.*)$/m.exec(docker)![1]);
  const env = Object.fromEntries(
    /^ENV (.*)$/m.exec(docker)![1].split(" ").map((pair) => pair.replace("/home/user", home).split("=")),
  );
  await Deno.mkdir(env.DENO_DIR);
  const { npmCache } = JSON.parse(await output(Deno.execPath(), ["info", "--json"]));
  await output("cp", ["-rl", npmCache, join(env.DENO_DIR, "npm")])
    .catch(() => output("cp", ["-r", npmCache, join(env.DENO_DIR, "npm")]));
  const deno = join(home, "deno"); // the user may not be let into the folder where Deno lies
  await Deno.link(Deno.execPath(), deno).catch(() => Deno.copyFile(Deno.execPath(), deno));
  const isRoot = Deno.uid() === 0;
  if (isRoot) {
    await output("chmod", ["755", home]);
    await output("chown", ["-R", `${NOBODY}:${NOBODY}`, env.DENO_DIR]);
    await Deno.mkdir(env.HF_HOME);
    await Deno.chown(env.HF_HOME, NOBODY, NOBODY);
  }
  const drop = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "--no-new-privs"];
  return { app, command: [...(isRoot ? drop : []), deno, "run", ...args], env };
}

async function output(program: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Asks until the program is there. */
async function whenUp(url: string, complaints: Promise<string>): Promise<Response> {
  let over: string | undefined;
  complaints.then((text) => over = text);
  for (;;) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return response;
    await response?.body?.cancel();
    assert.equal(over, undefined, "the program ended");
    await new Promise((done) => setTimeout(done, 250));
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

const name = "a space starts from an empty folder as a user without rights, and answers a chat";
// Spaces run on Linux; users are changed there by setpriv.
Deno.test({ name, ignore: Deno.build.os !== "linux", fn: answersAChat });

async function answersAChat(): Promise<void> {
  const folder = await Deno.makeTempDir(), home = await Deno.makeTempDir();
  const hub = await pushedHub(folder);
  try {
    const head = parse(/^---\n([\s\S]*?)\n---/.exec(published(hub, SPACE, "README.md"))![1]);
    assert.deepEqual([head.sdk, head.app_port, head.title], ["docker", 7860, 'Ask "me"']);
    assert.deepEqual(head.models, ["acme/lora", "acme/tiny"]);
    assert.equal(hub.repos[SPACE].private, true);
    const packages = Object.keys(JSON.parse(published(hub, SPACE, "fintune/deno.json")).imports);
    assert.ok(packages.includes("onnxruntime-node"));
    assert.ok(!packages.some((name) => /playwright|llama-cpp/.test(name)), packages.join());

    const { app, command: [program, ...args], env } = await build(hub, home);
    const port = freePort(), url = `http://127.0.0.1:${port}`;
    const { HF_ENDPOINT, HF_TOKEN } = variablesFor(hub, "");
    const child = new Deno.Command(program, {
      args,
      cwd: app,
      clearEnv: true,
      env: { ...env, HF_ENDPOINT, HF_TOKEN, PORT: String(port), FINTUNE_BACKEND: "cpu" },
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const complaints = new Response(child.stderr).text();
    try {
      const page = await whenUp(url, complaints);
      assert.match(page.headers.get("content-security-policy")!, /frame-ancestors https:\/\/huggingface\.co/);
      assert.match(await page.text(), /<script/);
      const config = await (await fetch(`${url}/config.json`)).json();
      assert.deepEqual(config.examples, ["What is a bond?"]);
      const answers = [];
      for (const model of ["lora", "base"]) {
        const response = await fetch(`${url}/v1/chat/completions`, {
          method: "POST",
          // As a browser sends it, from the space's own address.
          headers: { "content-type": "application/json", origin: "https://acme-lora-chat.hf.space" },
          body: JSON.stringify({
            model,
            messages: [{ role: "user", content: "What is a bond?" }],
            max_tokens: 8,
            temperature: 0,
          }),
        });
        const { choices } = await response.json();
        answers.push(choices[0].message.content);
      }
      // The adapter is still as it began: both answer as the base does here.
      const question = financeQA.question({ instruction: "What is a bond?" });
      const [expected] = await generate(await loadModel(tiny), [question], { maxNewTokens: 8 });
      assert.deepEqual(answers.map((answer) => answer.trim()), [expected.trim(), expected.trim()]);
      const streamed = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          model: "lora",
          messages: [{ role: "user", content: "Hi" }],
          stream: true,
          max_tokens: 3,
        }),
      });
      assert.match(streamed.headers.get("content-type")!, /event-stream/);
      assert.match(await streamed.text(), /data: \[DONE\]/);
      assert.equal((await fetch(`${url}/metrics`)).status, 404);
      // As containers are stopped: what has been asked is answered to its end.
      const last = await fetch(`${url}/v1/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          model: "base",
          prompt: "Hi",
          stream: true,
          max_tokens: 300,
          logit_bias: { 2: -100 },
        }),
      });
      child.kill("SIGTERM");
      assert.match(await last.text(), /"finish_reason":"length".*\n\ndata: \[DONE\]\n\n$/);
      const { code, signal } = await child.status;
      assert.deepEqual([code, signal], [0, null], await complaints);
    } finally {
      try {
        child.kill("SIGKILL");
      } catch {
        // it has ended by itself
      }
      await complaints;
      await child.status;
    }
  } finally {
    await hub[Symbol.asyncDispose]();
    for (const path of [folder, home]) await Deno.remove(path, { recursive: true });
  }
}
