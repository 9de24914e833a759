// The real huggingface_hub on the other side: it downloads from the loopback Hub (so the tests' server speaks the protocol), reads
// the cache that was filled here, and fills the one that is read here.
// Run by `deno task test:interop`; FINTUNE_PYTHON names a Python with requirements.txt installed (default python3).
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { openDevice } from "../../lib/engine/open.ts";
import { withLock } from "../../lib/hub/cache.ts";
import { datasetFiles } from "../../lib/hub/dataset.ts";
import { modelSource } from "../../lib/hub/model.ts";
import { countParameters } from "../../lib/models/config.ts";
import { loadConfig, loadModel } from "../../lib/models/load.ts";
import type { HubSettings } from "../../lib/hub/settings.ts";
import { type HubRepo, type HubServer, sha256, startHub, TOKEN, treeEntry } from "../hub_server.ts";
import { referenceFolder } from "../references.ts";

const script = fromFileUrl(new URL("./hub_interop.py", import.meta.url));

interface Setup {
  hub: HubServer;
  settings: HubSettings;
  python<T>(...command: string[]): Promise<T>;
  spawn(...command: string[]): Deno.ChildProcess;
}

async function withBoth(
  repos: Record<string, HubRepo>,
  action: (setup: Setup) => Promise<void>,
): Promise<void> {
  await using hub = startHub(repos);
  const cache = await Deno.makeTempDir();
  const settings: HubSettings = {
    ...{
      endpoint: hub.url,
      token: TOKEN,
      cache,
      offline: false,
      symlinks: true,
      quiet: true,
      timeout: 10_000,
    },
    sleep: () => Promise.resolve(),
  };
  const command = (args: string[]) =>
    new Deno.Command(Deno.env.get("FINTUNE_PYTHON") ?? "python3", {
      args: [script, ...args],
      env: {
        HF_ENDPOINT: hub.url,
        HF_HUB_CACHE: cache,
        HF_TOKEN: settings.token ?? "",
        HF_HUB_DISABLE_PROGRESS_BARS: "1",
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    });
  const python = async <T>(...args: string[]): Promise<T> => {
    const child = command(args).spawn();
    await child.stdin.close();
    const { success, stdout, stderr } = await child.output();
    assert.ok(success, new TextDecoder().decode(stderr));
    return JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!).answer;
  };
  try {
    await action({ hub, settings, python, spawn: (...args) => command(args).spawn() });
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

async function modelFiles(): Promise<Record<string, Uint8Array>> {
  const folder = join(referenceFolder("llama_rope3"), "model"), files: Record<string, Uint8Array> = {};
  for await (const { name } of Deno.readDir(folder)) files[name] = await Deno.readFile(join(folder, name));
  return {
    ...files,
    "pytorch_model.bin": new Uint8Array(5000),
    "sub/note.txt": new TextEncoder().encode("a note"),
  };
}

/** What was asked of the model; huggingface_hub also asks once a day which agents there are. */
const about = (hub: HubServer) => hub.log.map(({ path }) => path).filter((path) => path.includes("acme"));

const files = await modelFiles();
const needed = Object.keys(files).filter((name) => /json$|safetensors$/.test(name)).sort();
const rows = { "README.md": "# rows", "data/train-00000-of-00001.parquet": new Uint8Array(3000).fill(7) };
const repos = (): Record<string, HubRepo> => ({
  "models/acme/tiny": { files, revisions: { v1: { "config.json": files["config.json"] } } },
  "datasets/acme/rows": { files: rows },
});

Deno.test("huggingface_hub downloads from the loopback Hub, and lists it page by page", async () => {
  await withBoth(repos(), async ({ hub, python }) => {
    hub.pageSize = 3;
    const { folder } = await python<{ folder: string }>("snapshot", "acme/tiny", "model", "main");
    for (const [name, content] of Object.entries(files)) {
      assert.equal(sha256(await Deno.readFile(join(folder, name))), sha256(content), name);
    }
    const listing = await python<Record<string, string>>("listing", "acme/tiny", "model", "main");
    const expected = Object.entries(files).map(([name, content]) => treeEntry(name, content));
    assert.deepEqual(
      listing,
      Object.fromEntries(expected.map(({ path, oid, lfs }) => [path, lfs?.oid ?? oid])),
    );
    assert.ok(
      hub.log.filter(({ server }) => server === "storage").every(({ authorization }) =>
        authorization === undefined
      ),
    );
  });
});

Deno.test("its errors for the loopback Hub's refusals are the ones it has for the real Hub's", async () => {
  const gated = { files, gated: true }, hidden = { files, private: true };
  await withBoth(
    { ...repos(), "models/acme/gated": gated, "models/acme/private": hidden },
    async ({ python, settings }) => {
      const error = async (...where: string[]) =>
        (await python<{ error: string }>("refusal", ...where)).error;
      assert.equal(await error("acme/none", "model", "main", "config.json"), "RepositoryNotFoundError");
      assert.equal(await error("acme/tiny", "model", "v9", "config.json"), "RevisionNotFoundError");
      assert.equal(await error("acme/tiny", "model", "main", "none.json"), "RemoteEntryNotFoundError");
      settings.token = undefined;
      assert.equal(await error("acme/gated", "model", "main", "config.json"), "GatedRepoError");
      assert.equal(await error("acme/private", "model", "main", "config.json"), "RepositoryNotFoundError");
    },
  );
});

Deno.test("it reads the cache that was filled here: without network, and without fetching again", async () => {
  await withBoth(repos(), async ({ hub, settings, python }) => {
    const source = await modelSource("acme/tiny", { quiet: true }, settings);
    await source.fetch("config", "tokenizer", "weights");
    await (await modelSource("acme/tiny", { revision: "v1", quiet: true }, settings)).fetch("config");
    const [train] = await datasetFiles("acme/rows", { quiet: true }, settings);
    const commit = hub.commit("models/acme/tiny");

    const contents = await python<Record<string, string>>("files", "acme/tiny", "model", "main", ...needed);
    for (const name of needed) assert.equal(contents[name], hex(files[name]), name);
    const data = await python<Record<string, string>>(
      "files",
      "acme/rows",
      "dataset",
      "main",
      "data/train-00000-of-00001.parquet",
    );
    assert.deepEqual(Object.values(data), [hex(await Deno.readFile(train))]);

    const { warnings, repos: found } = await python<Scan>("scan");
    assert.deepEqual(warnings, []);
    const size = needed.reduce((sum, name) => sum + files[name].length, 0);
    assert.deepEqual(found["models/acme/tiny"][commit], { refs: ["main"], files: needed, size });
    assert.deepEqual(found["models/acme/tiny"][hub.commit("models/acme/tiny", "v1")].refs, ["v1"]);
    assert.deepEqual(Object.keys(found).sort(), ["datasets/acme/rows", "models/acme/tiny"]);

    const { parameters } = await python<{ parameters: number }>("model", "acme/tiny");
    assert.equal(parameters, countParameters(await loadConfig(source.folder)));

    hub.log.length = 0;
    const { folder } = await python<{ folder: string }>(
      "snapshot",
      "acme/tiny",
      "model",
      "main",
      "*.json",
      "*.safetensors",
    );
    assert.equal(folder, source.folder);
    assert.deepEqual(about(hub), ["/api/models/acme/tiny/revision/main"]);
  });
});

interface Scan {
  warnings: string[];
  repos: Record<string, Record<string, { refs: string[]; files: string[]; size: number }>>;
}

const hex = (bytes: Uint8Array) =>
  bytes.reduce((text, byte) => text + byte.toString(16).padStart(2, "0"), "");

Deno.test("the cache that it filled is read here: a model loads offline, no request is made", async () => {
  await withBoth(repos(), async ({ hub, settings, python }) => {
    const { folder } = await python<{ folder: string }>("snapshot", "acme/tiny", "model", "main");
    await python("snapshot", "acme/rows", "dataset", "main");
    hub.log.length = 0;
    const offline = { ...settings, offline: true };
    const source = await modelSource("acme/tiny", {}, offline);
    await source.fetch("config", "tokenizer", "weights");
    assert.equal(source.folder, folder);
    assert.equal(
      (await loadModel(source.folder, { device: await openDevice({ backend: "cpu" }) })).config
        .numHiddenLayers,
      2,
    );
    assert.equal((await datasetFiles("acme/rows", {}, offline)).length, 1);
    assert.equal(hub.log.length, 0);
    await (await modelSource("acme/tiny", { quiet: true }, settings)).fetch("config", "tokenizer", "weights");
    assert.deepEqual(hub.log.map(({ path }) => path), ["/api/models/acme/tiny/revision/main"]);
  });
});

Deno.test("both take the same lock", async () => {
  await withBoth(repos(), async ({ settings, spawn }) => {
    const repo = { type: "model" as const, id: "acme/tiny", revision: "main" };
    await withLock(settings, repo, "abc", () => Promise.resolve());
    const child = spawn("hold", join(settings.cache, ".locks/models--acme--tiny/abc.lock"));
    const reader = child.stdout.getReader();
    assert.match(new TextDecoder().decode((await reader.read()).value), /held/);
    let entered = false;
    const waiting = withLock(settings, repo, "abc", () => Promise.resolve(void (entered = true)));
    await new Promise((done) => setTimeout(done, 300));
    assert.equal(entered, false);
    await child.stdin.close();
    await waiting;
    assert.equal(entered, true);
    await reader.cancel();
    await child.stderr.cancel();
    await child.status;
  });
});
