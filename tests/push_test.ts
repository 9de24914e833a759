// Publishing against the loopback Hub: what is chosen, shown, sent and sent again, and what every refusal becomes.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { UserError } from "../lib/errors.ts";
import { attachLoRA } from "../lib/lora.ts";
import { loadModel } from "../lib/models/load.ts";
import type { Model } from "../lib/models/model.ts";
import { pushFiles, readRemote } from "../lib/hub/push.ts";
import { sentXorbs } from "../lib/hub/push_sent.ts";
import type { HubSettings } from "../lib/hub/settings.ts";
import type { PushPlan } from "../lib/publish/plan.ts";
import { type PushOptions, type PushReport, pushToHub } from "../lib/publish/push_to_hub.ts";
import { type Fault, sha256, TOKEN, variablesFor, withVariables } from "./hub_server.ts";
import { published, type PushHub, startPushHub } from "./hub_push_server.ts";

/** Bytes without a pattern, which nothing packs. */
function noise(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0, x = seed; i < length; i++) bytes[i] = (x = (x * 48271) % 2147483647) >> 8;
  return bytes;
}

const BASE = "acme/base";
const adapterConfig = {
  peft_type: "LORA",
  task_type: "CAUSAL_LM",
  base_model_name_or_path: BASE,
  r: 8,
  lora_alpha: 16,
  lora_dropout: 0.05,
  target_modules: ["q_proj", "v_proj"],
};

interface Setup extends AsyncDisposable {
  hub: PushHub;
  folder: string;
  cache: string;
  settings: HubSettings;
  /** pushToHub with this Hub, everything confirmed; the plans that were shown. */
  push(options?: PushOptions, source?: string): Promise<PushReport | undefined>;
  plans: PushPlan[];
}

async function setup(files: Record<string, string | Uint8Array> = {}): Promise<Setup> {
  const hub = startPushHub(), cache = await Deno.makeTempDir(), folder = await Deno.makeTempDir();
  const all = {
    "adapter_config.json": JSON.stringify(adapterConfig),
    "adapter_model.safetensors": noise(300_000),
    ...files,
  };
  for (const [path, content] of Object.entries(all)) await put(join(folder, path), content);
  const plans: PushPlan[] = [];
  const settings: HubSettings = {
    endpoint: hub.url,
    token: TOKEN,
    cache,
    offline: false,
    symlinks: true,
    quiet: true,
    timeout: 10_000,
    sleep: () => Promise.resolve(),
  };
  return {
    hub,
    folder,
    cache,
    settings,
    plans,
    push: (options = {}, source = folder) =>
      withVariables(variablesFor(hub, cache), () =>
        pushToHub(source, "acme/tiny", {
          quiet: true,
          confirm: (plan) => (plans.push(plan), true),
          ...options,
        })),
    async [Symbol.asyncDispose]() {
      await hub[Symbol.asyncDispose]();
      for (const path of [cache, folder]) await Deno.remove(path, { recursive: true });
    },
  };
}

async function put(path: string, content: string | Uint8Array): Promise<void> {
  await Deno.mkdir(join(path, ".."), { recursive: true });
  await (typeof content === "string" ? Deno.writeTextFile(path, content) : Deno.writeFile(path, content));
}

async function refused(action: Promise<unknown>, pattern: RegExp): Promise<void> {
  await assert.rejects(action, (error: Error) => {
    assert.ok(error instanceof UserError, String(error?.stack));
    assert.match(error.message, pattern);
    assert.ok(!Deno.inspect(error).includes(TOKEN), "the token is in the error");
    assert.ok(!error.message.includes("Signature"), "a signed address is in the error");
    return true;
  });
}

const MODEL = "models/acme/tiny";
const uploads = (hub: PushHub) =>
  hub.log.filter(({ server, method }) => server === "storage" && method !== "GET");
const bytesSent = (hub: PushHub) => uploads(hub).reduce((sum, { sent }) => sum + sent, 0);

for (const transfer of ["basic", "xet"] as const) {
  Deno.test(`an adapter by ${transfer}: private, whole, with its card; a second push sends nothing`, async () => {
    await using all = await setup();
    const { hub, push, plans } = all;
    hub.transfer = transfer;
    const report = await push();
    const repo = hub.repos[MODEL];
    assert.equal(repo.private, true);
    assert.deepEqual(Object.keys(repo.files), [
      ".gitattributes",
      "README.md",
      "adapter_config.json",
      "adapter_model.safetensors",
    ]);
    assert.deepEqual(repo.files["adapter_model.safetensors"], noise(300_000));
    assert.equal(report?.url, `${hub.url}/acme/tiny`);
    assert.equal(report?.commit, hub.commit(MODEL));
    assert.deepEqual(plans[0].repos[0].files.map(({ path, state }) => [path, state]), [
      ["README.md", "new"],
      ["adapter_config.json", "new"],
      ["adapter_model.safetensors", "new"],
    ]);
    assert.match(`${plans[0]}`, /Model acme\/tiny \(http.*\), a new one, private/);
    assert.equal(plans[0].card, published(hub, MODEL, "README.md"));
    // Storage got its own permissions alone.
    assert.ok(uploads(hub).every(({ authorization }) => !authorization?.includes(TOKEN)));

    hub.log.length = 0;
    const again = await push();
    assert.equal(again?.commit, report?.commit);
    assert.equal(again?.sent, 0);
    assert.ok(hub.log.every(({ method }) => method === "GET"), "something was written");
    assert.ok(plans[1].repos[0].files.every(({ state }) => state === "there"));
    assert.equal(plans[1].toSend, 0);
  });
}

Deno.test("nothing leaves before it is confirmed, and nothing when it is not", async () => {
  await using all = await setup();
  const { hub, push } = all;
  const asked = (plan: PushPlan) => {
    assert.ok(hub.log.every(({ method }) => method === "GET"));
    assert.equal(plan.repos[0].visibility, "private");
    return false;
  };
  assert.equal(await push({ confirm: asked }), undefined);
  assert.deepEqual(Object.keys(hub.repos), []);
  // A terminal is asked by default, and there is none here.
  if (!Deno.stdin.isTerminal()) await refused(push({ confirm: undefined }), /nobody can be asked here/);
  assert.deepEqual(Object.keys(hub.repos), []);
});

Deno.test("data, the training's state and what looks like a secret stay here, and are listed with the reason", async () => {
  await using all = await setup({
    "tokenizer.json": "{}",
    "rows.jsonl": '{"a":1}\n',
    "log.jsonl": "",
    "checkpoint-20/optimizer.safetensors": noise(1000),
    "evaluation/answers.jsonl": "x",
    ".env": "HF_TOKEN=x",
    "hf_token.txt": "x",
    "credentials.json": "{}",
    "adapter_model.bin": "pickle",
    "notes.docx": "?",
  });
  await Deno.symlink("/etc/hostname", join(all.folder, "special_tokens_map.json"));
  const { hub, push, plans, folder } = all;
  await Deno.remove(join(folder, "log.jsonl"));
  await push({ card: false });
  assert.deepEqual(Object.keys(hub.repos[MODEL].files), [
    ".gitattributes",
    "adapter_config.json",
    "adapter_model.safetensors",
    "tokenizer.json",
  ]);
  const { leftOut } = plans[0].repos[0];
  assert.deepEqual(leftOut.map(({ path, why }) => [path, why]), [
    [".env", "by its name a secret"],
    ["adapter_model.bin", "a pickle, which can run code where it is loaded"],
    ["checkpoint-20/", "the training's state"],
    ["credentials.json", "by its name a secret"],
    ["evaluation/", "data, or what was made of it"],
    ["hf_token.txt", "by its name a secret"],
    ["notes.docx", "no part of an adapter or model"],
    ["rows.jsonl", "data, or what was made of it"],
    ["special_tokens_map.json", "a link, which may lead anywhere"],
  ]);
  assert.match(`${plans[0]}`, /not published:\n {2}\.env +10 B {2}by its name a secret/);
  await push({ card: false, include: ["rows.jsonl", "evaluation/*"] });
  assert.equal(published(hub, MODEL, "rows.jsonl"), '{"a":1}\n');
  assert.equal(published(hub, MODEL, "evaluation/answers.jsonl"), "x");
  await refused(push({ include: ["*.csv"] }), /no file that fits \*\.csv/);
});

Deno.test("a key in a text that would be published stops everything, and is not shown", async () => {
  for (const key of [`hf_${"a".repeat(34)}`, `sk-${"b1".repeat(20)}`, TOKEN]) {
    await using all = await setup({ "README.md": `# Mine\n\nuse ${key}\n` });
    await assert.rejects(all.push(), (error: Error) => {
      assert.match(error.message, /README\.md, line 3 holds what looks like a key or token/);
      assert.ok(!error.message.includes(key));
      return true;
    });
    assert.deepEqual(Object.keys(all.hub.repos), []);
  }
});

Deno.test("paths of this machine stay here: the base is named as others find it", async () => {
  const local = { ...adapterConfig, base_model_name_or_path: "/home/alice/models/secret-base" };
  const named = { name_or_path: "/home/alice/models/secret-base", model_max_length: 512 };
  await using all = await setup({
    "adapter_config.json": JSON.stringify(local),
    "tokenizer_config.json": JSON.stringify(named),
  });
  const { hub, push } = all;
  await refused(push(), /names its base "\/home\/alice.*say \{ baseModel: "owner\/name" \}/);
  await refused(push({ baseModel: "./x" }), /baseModel is/);
  await push({ baseModel: "acme/base" });
  assert.equal(JSON.parse(published(hub, MODEL, "adapter_config.json")).base_model_name_or_path, "acme/base");
  assert.ok(!published(hub, MODEL, "README.md").includes("alice"));
  assert.deepEqual(JSON.parse(published(hub, MODEL, "tokenizer_config.json")), {
    name_or_path: "secret-base",
    model_max_length: 512,
  });
});

Deno.test("a cut push goes on: files that storage has are not sent again", async () => {
  const shards = Object.fromEntries(
    [1, 2, 3].map((i) => [`model-0000${i}-of-00003.safetensors`, noise(100_000, i)]),
  );
  await using all = await setup({ ...shards, "config.json": '{"model_type":"llama"}' });
  const { hub, push } = all;
  // The third upload never comes through, as if the line had gone.
  const stuck = noise(100_000, 3);
  const oid = sha256(stuck);
  const aborted = new AbortController();
  hub.fault = ({ path, server }): Fault | undefined => {
    if (server !== "storage" || !path.includes(oid)) return;
    setTimeout(() => aborted.abort(new Error("killed")), 200);
    return { status: 503, headers: { "retry-after": "60" } };
  };
  await assert.rejects(push({ signal: aborted.signal }), /killed/);
  assert.equal(hub.repos[MODEL].files["config.json"], undefined, "nothing was committed");
  assert.equal(hub.objects.size, 3);
  hub.fault = () => undefined;
  hub.log.length = 0;
  await push();
  assert.deepEqual(uploads(hub).map(({ path }) => path), [`/lfs/${oid}`]);
  assert.equal(bytesSent(hub), 100_000);
  assert.deepEqual(hub.repos[MODEL].files["model-00003-of-00003.safetensors"], stuck);
  assert.equal(hub.commits.length, 1);
});

Deno.test("large files go in parts where the Hub says so; a part that fails is sent again alone", async () => {
  await using all = await setup();
  const { hub, push } = all;
  hub.partBytes = 100_000;
  hub.fault = ({ path }, count) => /part\/2$/.test(path) && count === 0 ? { status: 500 } : undefined;
  // The pauses between tries are real here: one of about a second.
  const report = await push();
  assert.deepEqual(uploads(hub).map(({ path }) => path.split("/").at(-1)).sort(), ["1", "2", "2", "3"]);
  assert.deepEqual(hub.repos[MODEL].files["adapter_model.safetensors"], noise(300_000));
  assert.equal(report?.sent, 300_000);
});

Deno.test("with Xet, the blocks of a file that was on its way are not sent again", async () => {
  await using all = await setup();
  const { hub, settings } = all;
  hub.transfer = "xet";
  const repo = { type: "model" as const, id: "acme/tiny", revision: "main" };
  const file = { path: "model.safetensors", size: 500_000, content: noise(500_000) };
  const options = { isPrivate: true, message: "m" };
  // All blocks come through; the description of the file, which makes it one, does not.
  hub.fault = ({ path }) => path === "/v1/shards" ? { status: 503 } : undefined;
  await refused(
    pushFiles(repo, [file], settings, options),
    /^acme\/tiny: localhost:\d+ answered 503 \(5 tries\)/,
  );
  const [xorb] = [...hub.pieces.keys()];
  assert.ok((await sentXorbs(settings, repo)).has(xorb));
  const list = join(settings.cache, ".pushes", "models--acme--tiny.json");
  assert.ok(!(await Deno.readTextFile(list)).includes("oken"), "no token is kept");

  hub.fault = () => undefined;
  hub.log.length = 0;
  let remote = await readRemote(repo, settings);
  const { sent } = await pushFiles(repo, [file], settings, { ...options, remote });
  assert.equal(uploads(hub).filter(({ path }) => path.includes("/xorbs/")).length, 0);
  assert.ok(bytesSent(hub) < 20_000, `${bytesSent(hub)} bytes`);
  assert.equal(sent, 0);
  assert.deepEqual(hub.repos[MODEL].files["model.safetensors"], file.content);
  assert.equal((await sentXorbs(settings, repo)).has(xorb), false, "the list goes once it is through");

  // Storage that has cleared the block away says so, and gets it again.
  const other = { path: "other.safetensors", size: 400_000, content: noise(400_000, 5) };
  hub.fault = ({ path }) => path === "/v1/shards" ? { status: 503 } : undefined;
  remote = await readRemote(repo, settings);
  await refused(pushFiles(repo, [other], settings, { ...options, remote }), /503/);
  hub.fault = () => undefined;
  hub.pieces.clear();
  await pushFiles(repo, [other], settings, { ...options, remote });
  assert.deepEqual(hub.repos[MODEL].files["other.safetensors"], other.content);
});

Deno.test("faults that pass are tried again: 503, lost answers of creating and of committing", async () => {
  await using all = await setup();
  const { hub, settings } = all;
  const once: Record<string, Fault> = {
    "/api/repos/create": { lost: true },
    "/api/models/acme/tiny/preupload/main": { status: 503 },
    "/acme/tiny.git/info/lfs/objects/batch": { status: 429, headers: { "retry-after": "1" } },
    "/api/models/acme/tiny/commit/main": { lost: true },
  };
  hub.fault = ({ path }, count) => count === 0 ? once[path] : undefined;
  const repo = { type: "model" as const, id: "acme/tiny", revision: "main" };
  const files = [
    { path: "a.txt", size: 1, content: new TextEncoder().encode("a") },
    { path: "b.safetensors", size: 50_000, content: noise(50_000) },
  ];
  const { commit } = await pushFiles(repo, files, settings, { isPrivate: true, message: "m" });
  assert.equal(commit, hub.commit(MODEL));
  assert.equal(hub.commits.length, 1, "the commit whose answer was lost was not made twice");
  assert.equal(hub.repos[MODEL].private, true);
});

Deno.test("an address that has run out is asked for anew", async () => {
  await using all = await setup();
  const { hub, push } = all;
  hub.fault = ({ server, path }, count) =>
    server === "storage" && path.startsWith("/lfs/") && count === 0 ? { status: 403 } : undefined;
  await push();
  assert.equal(hub.log.filter(({ path }) => path.endsWith("objects/batch")).length, 2);
  assert.deepEqual(hub.repos[MODEL].files["adapter_model.safetensors"], noise(300_000));
});

Deno.test("refusals are one sentence that says what to do", async () => {
  const cases: [string, Fault, RegExp][] = [
    ["/api/repos/create", { status: 401 }, /does not know the token.*make a new one with write access/],
    ["/api/repos/create", { status: 403 }, /may not write to acme\/tiny.*right to write to what acme has/],
    ["/api/repos/create", { status: 402 }, /asks for a paid account to make the model acme\/tiny/],
    ["/api/repos/create", { status: 400 }, /answered 400 for http/],
    ["/api/models/acme/tiny/preupload/main", { status: 403 }, /may not write to acme\/tiny/],
    [
      "/api/models/acme/tiny/commit/main",
      { status: 404 },
      /no model acme\/tiny that this token may write to/,
    ],
    ["/acme/tiny.git/info/lfs/objects/batch", { status: 413 }, /answered 413/],
    [
      "/api/models/acme/tiny/commit/main",
      { status: 409 },
      /Somebody else has pushed to acme\/tiny meanwhile/,
    ],
    [
      "/api/models/acme/tiny/revision/HEAD",
      { status: 200, body: "<html>login</html>" },
      /does not answer as a Hub/,
    ],
  ];
  for (const [path, fault, pattern] of cases) {
    await using all = await setup();
    if (path.endsWith("HEAD")) all.hub.repos[MODEL] = { files: {}, private: true };
    const headers = { "content-type": "application/json" };
    all.hub.fault = (request) =>
      request.path === path
        ? { headers, body: JSON.stringify({ error: `no ${TOKEN}\nplease` }), ...fault }
        : undefined;
    await refused(all.push(), pattern);
  }
});

Deno.test("a Hub that keeps failing, and one that is not there, end in a sentence", async () => {
  await using all = await setup();
  const { hub, settings } = all;
  hub.fault = ({ path }) => path.endsWith("/commit/main") ? { status: 500 } : undefined;
  const repo = { type: "model" as const, id: "acme/tiny", revision: "main" };
  const files = [{ path: "a.txt", size: 1, content: new TextEncoder().encode("a") }];
  const options = { isPrivate: true, message: "m" };
  await refused(pushFiles(repo, files, settings, options), /answered 500 \(5 tries\)\. Check the connection/);
  await refused(readRemote(repo, { ...settings, endpoint: "http://127.0.0.1:9" }), /refused|broke/);
});

Deno.test("somebody else's commit is not overwritten", async () => {
  await using all = await setup();
  const { hub, push, folder } = all;
  await push();
  await Deno.writeFile(join(folder, "adapter_model.safetensors"), noise(300_000, 9));
  const confirm = () => {
    hub.repos[MODEL].files = { ...hub.repos[MODEL].files, "README.md": "# Edited on the Hub" };
    return true;
  };
  await refused(push({ confirm }), /Somebody else has pushed/);
  assert.equal(published(hub, MODEL, "README.md"), "# Edited on the Hub");
});

Deno.test("a public repository is pushed to only where that was said; a private one stays private", async () => {
  await using all = await setup();
  const { hub, push, plans } = all;
  await push({ private: false });
  assert.equal(hub.repos[MODEL].private, false);
  assert.match(`${plans[0]}`, /PUBLIC: everybody sees it/);
  await refused(push(), /acme\/tiny is public.*say \{ private: false \}/);
  hub.repos[MODEL].private = true;
  await push({ private: false });
  assert.match(`${plans[1]}`, /is there already, private/);
  assert.equal(hub.repos[MODEL].private, true);
});

Deno.test("what is missing is said before the Hub is asked", async () => {
  await using all = await setup();
  const { hub, folder, cache } = all;
  const variables = { ...variablesFor(hub, cache), HF_TOKEN: "", HF_TOKEN_PATH: join(cache, "none") };
  const push = (source: string, name: string, more = {}) =>
    withVariables({ ...variables, ...more }, () => pushToHub(source, name, { quiet: true }));
  await refused(push(folder, "acme/tiny"), /Publishing needs a token/);
  await refused(push(folder, "tiny"), /"tiny" is no name of a repository/);
  await refused(push(folder, "../x/y"), /is no name of a repository/);
  await refused(push(folder, "acme/tiny", { HF_TOKEN: "mine" }), /begin with hf_/);
  await refused(push(folder, "acme/tiny", { HF_TOKEN: TOKEN, HF_HUB_OFFLINE: "1" }), /HF_HUB_OFFLINE is set/);
  await refused(push(cache, "acme/tiny", { HF_TOKEN: TOKEN }), /holds neither an adapter .* nor a model/);
  assert.equal(hub.log.length, 0);
});

Deno.test("the token stays with the Hub, whatever address it hands out", async () => {
  await using all = await setup();
  const { hub, settings } = all;
  hub.transfer = "xet";
  await using other = startPushHub();
  const repo = { type: "model" as const, id: "acme/tiny", revision: "main" };
  hub.fault = ({ path }) => {
    if (!path.endsWith("objects/batch")) return;
    const oid = sha256(file.content);
    const upload = { href: `${other.url}/token`, header: {} };
    const objects = [{ oid, size: file.size, actions: { upload } }];
    return { status: 200, body: JSON.stringify({ transfer: "xet", objects }) };
  };
  const file = { path: "b.safetensors", size: 50_000, content: noise(50_000) };
  await refused(
    pushFiles(repo, [file], settings, { isPrivate: true, message: "m" }),
    /is not the Hub, and the token is not sent to it/,
  );
  assert.equal(other.log.length, 0);
});

Deno.test("a card of one's own stays", async () => {
  await using all = await setup({ "README.md": "# My own words" });
  await all.push();
  assert.equal(published(all.hub, MODEL, "README.md"), "# My own words");
});

Deno.test("a model in memory: its adapter where one is in use, else its weights and tokenizer", async () => {
  await using all = await setup();
  const { hub, cache } = all;
  const base = await loadModel(fromFileUrl(new URL("../examples/tiny/model", import.meta.url)));
  const push = (model: Model, name: string) =>
    withVariables(
      variablesFor(hub, cache),
      () => pushToHub(model, name, { baseModel: BASE, quiet: true, confirm: () => true }),
    );
  await push(attachLoRA(base, { r: 2, quiet: true }), "acme/lora");
  await push(base, "acme/whole");
  const files = (name: string) => Object.keys(hub.repos[`models/${name}`].files);
  assert.deepEqual(files("acme/lora").slice(1), [
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
  ]);
  for (const name of ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"]) {
    assert.ok(files("acme/whole").includes(name), name);
  }
  assert.match(
    published(hub, "models/acme/whole", "README.md"),
    /library_name: transformers\nbase_model: acme\/base/,
  );
});

Deno.test("GGUF alone is for llama.cpp", async () => {
  await using all = await setup({
    "gguf/model-q8_0.gguf": noise(1000),
    "gguf/Modelfile": "FROM ./model-q8_0.gguf\n",
  });
  const { hub, push, folder } = all;
  await push({ baseModel: BASE }, join(folder, "gguf"));
  assert.deepEqual(Object.keys(hub.repos[MODEL].files), [
    ".gitattributes",
    "Modelfile",
    "README.md",
    "model-q8_0.gguf",
  ]);
  assert.match(
    published(hub, MODEL, "README.md"),
    /base_model_relation: quantized[\s\S]*llama-cli -hf acme\/tiny/,
  );
  await refused(push({ space: true }, join(folder, "gguf")), /not GGUF alone/);
});
