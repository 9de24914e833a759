// The Hub against a loopback server that speaks its protocol: what is asked for, what is kept, and what every fault becomes.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { UserError } from "../lib/errors.ts";
import type { RepoFile } from "../lib/hub/cache.ts";
import { downloadBlob } from "../lib/hub/download.ts";
import { modelSource } from "../lib/hub/model.ts";
import { checkFileName, isHubName } from "../lib/hub/names.ts";
import { byteLine } from "../lib/hub/progress.ts";
import { fetchFiles, openRepo } from "../lib/hub/repo.ts";
import { request } from "../lib/hub/request.ts";
import type { HubSettings } from "../lib/hub/settings.ts";
import { type Fault, gitBlob, type HubRepo, type HubServer, sha256, startHub, TOKEN } from "./hub_server.ts";

/** Bytes without a pattern that a shifted range could hide in. */
function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0, x = 1; i < length; i++) bytes[i] = (x = (x * 48271) % 2147483647) >> 8;
  return bytes;
}

const weights = noise(300_000);
const files: HubRepo["files"] = {
  ".gitattributes": "*.safetensors filter=lfs\n",
  "README.md": "# tiny\n",
  "config.json": '{"model_type":"llama"}',
  "generation_config.json": "{}",
  "tokenizer.json": '{"model":{}}',
  "tokenizer_config.json": '{"a":1}',
  "model.safetensors": weights,
  "pytorch_model.bin": "another copy of the weights",
  "model.Q4_K_M.gguf": "and another",
  "onnx/model.onnx": "and another",
};
const NEEDED = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "model.safetensors",
];

interface Setup extends AsyncDisposable {
  hub: HubServer;
  settings: HubSettings;
  /** Milliseconds of each pause between tries; none of them is really waited for. */
  waits: number[];
}

async function setup(repo: HubRepo = { files }, id = "models/acme/tiny"): Promise<Setup> {
  const hub = startHub({ [id]: repo }), waits: number[] = [];
  const cache = await Deno.makeTempDir();
  const settings: HubSettings = {
    endpoint: hub.url,
    token: TOKEN,
    cache,
    offline: false,
    symlinks: true,
    quiet: true,
    timeout: 10_000,
    sleep: (milliseconds) => Promise.resolve(void waits.push(milliseconds)),
  };
  return {
    hub,
    settings,
    waits,
    async [Symbol.asyncDispose]() {
      await hub[Symbol.asyncDispose]();
      await Deno.remove(cache, { recursive: true });
    },
  };
}

const repo = { type: "model" as const, id: "acme/tiny", revision: "main" };

/** One file through the whole of it; its bytes. */
async function fetchOne(settings: HubSettings, path = "model.safetensors"): Promise<Uint8Array> {
  const [local] = await fetchFiles(await openRepo(repo, settings), [path], true);
  return await Deno.readFile(local);
}

/** How many files below the folder hold the text. */
async function filesWith(text: string, folder: string): Promise<number> {
  let count = 0;
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) count += await filesWith(text, path);
    else if ((await Deno.readTextFile(path)).includes(text)) count++;
  }
  return count;
}

async function refused(action: Promise<unknown>, pattern: RegExp): Promise<void> {
  await assert.rejects(action, (error: Error) => {
    assert.ok(error instanceof UserError, String(error?.stack));
    assert.match(error.message, pattern);
    assert.ok(
      !error.message.includes(TOKEN) && !Deno.inspect(error).includes(TOKEN),
      "the token is in the error",
    );
    return true;
  });
}

const requestsOf = (hub: HubServer, path: RegExp) => hub.log.filter((request) => path.test(request.path));
const fetched = (hub: HubServer) =>
  [
    ...new Set(
      hub.log.filter(({ path }) => path.includes("/resolve/")).map(({ path }) =>
        path.split("/").slice(5).join("/")
      ),
    ),
  ].sort();

Deno.test("a model: only what is needed is fetched, once; its bytes are the Hub's", async () => {
  await using all = await setup();
  const { hub, settings } = all;
  const source = await modelSource("acme/tiny", { quiet: true }, settings);
  await source.fetch("config", "tokenizer", "weights");
  assert.deepEqual(fetched(hub), [...NEEDED].sort());
  for (const path of NEEDED) {
    assert.equal(sha256(await Deno.readFile(join(source.folder, path))), sha256(files[path]), path);
  }
  const storage = hub.log.filter(({ server }) => server === "storage");
  assert.deepEqual(storage.map(({ authorization, status }) => [authorization, status]), [[undefined, 200]]);
  assert.ok(
    hub.log.filter(({ server }) => server === "hub").every((r) => r.authorization === `Bearer ${TOKEN}`),
  );

  assert.equal(await filesWith(TOKEN, settings.cache), 0);

  hub.log.length = 0;
  await (await modelSource("acme/tiny", { quiet: true }, settings)).fetch("config", "tokenizer", "weights");
  assert.deepEqual(hub.log.map(({ path }) => path), ["/api/models/acme/tiny/revision/main"]);
  hub.log.length = 0;
  await (await modelSource("acme/tiny", { quiet: true, revision: hub.commit("models/acme/tiny") }, settings))
    .fetch("weights");
  assert.equal(hub.log.length, 0);
});

Deno.test("the cache has huggingface_hub's layout", async () => {
  await using all = await setup({
    files,
    revisions: { v1: { "sub/folder/rows.txt": "x", "config.json": files["config.json"] } },
  });
  const { hub, settings } = all;
  const source = await modelSource("acme/tiny", { quiet: true }, settings);
  await source.fetch("config", "weights");
  const at = join(settings.cache, "models--acme--tiny"), commit = hub.commit("models/acme/tiny");
  assert.equal(source.folder, join(at, "snapshots", commit));
  assert.equal(await Deno.readTextFile(join(at, "refs/main")), commit);
  const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  const blobs = [sha256(weights), gitBlob(files["config.json"])];
  assert.deepEqual(names(join(at, "blobs")), [...blobs].sort());
  assert.equal(
    await Deno.readLink(join(source.folder, "config.json")),
    `../../blobs/${gitBlob(files["config.json"])}`,
  );
  assert.equal(
    await Deno.readLink(join(source.folder, "model.safetensors")),
    `../../blobs/${sha256(weights)}`,
  );
  assert.deepEqual(
    names(join(settings.cache, ".locks/models--acme--tiny")),
    blobs.map((blob) => `${blob}.lock`).sort(),
  );
  assert.equal(
    JSON.parse(await Deno.readTextFile(join(at, `trees/${commit}.json`))).files["model.safetensors"]
      .lfs_sha256,
    blobs[0],
  );

  // Another revision shares the blob, and links from deeper folders.
  hub.log.length = 0;
  const tagged = await openRepo({ ...repo, revision: "v1" }, settings);
  await fetchFiles(tagged, ["config.json", "sub/folder/rows.txt"], true);
  assert.deepEqual(fetched(hub), ["sub/folder/rows.txt"]);
  assert.equal(
    await Deno.readLink(join(tagged.folder, "sub/folder/rows.txt")),
    `../../../../blobs/${gitBlob("x")}`,
  );
  assert.equal(await Deno.readTextFile(join(tagged.folder, "sub/folder/rows.txt")), "x");
});

Deno.test("without symlinks the files lie in the snapshots", async () => {
  await using all = await setup();
  const settings = { ...all.settings, symlinks: false };
  const source = await modelSource("acme/tiny", { quiet: true }, settings);
  await source.fetch("config", "weights");
  const file = join(source.folder, "model.safetensors");
  assert.ok((await Deno.lstat(file)).isFile);
  assert.equal(sha256(await Deno.readFile(file)), sha256(weights));
  all.hub.log.length = 0;
  await (await modelSource("acme/tiny", { quiet: true }, settings)).fetch("config", "weights");
  assert.equal(all.hub.log.length, 1);
});

Deno.test("sharded weights: the shards that the index names, no others", async () => {
  const index = {
    weight_map: { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" },
  };
  await using all = await setup({
    files: {
      "config.json": "{}",
      "model.safetensors.index.json": JSON.stringify(index),
      "model-00001-of-00002.safetensors": noise(1000),
      "model-00002-of-00002.safetensors": noise(2000),
      "model-00003-of-00003.safetensors": noise(10),
      "consolidated.safetensors": noise(3000),
    },
  });
  await (await modelSource("acme/tiny", { quiet: true }, all.settings)).fetch("config", "weights");
  assert.deepEqual(fetched(all.hub), [
    "config.json",
    ...Object.values(index.weight_map),
    "model.safetensors.index.json",
  ]);
});

Deno.test("no safetensors: said so, nothing fetched; and an index that leads elsewhere", async () => {
  await using all = await setup({ files: { "config.json": "{}", "pytorch_model.bin": "x" } });
  const source = await modelSource("acme/tiny", { quiet: true }, all.settings);
  await refused(
    source.fetch("weights"),
    /acme\/tiny has no model\.safetensors .*\(only pytorch_model\.bin\): choose/,
  );
  assert.deepEqual(fetched(all.hub), []);
  for (const shard of ["../../evil.safetensors", "other.safetensors", "/etc/passwd"]) {
    all.hub.repos["models/acme/tiny"].files = {
      "model.safetensors.index.json": JSON.stringify({ weight_map: { a: shard } }),
    };
    await refused(
      (await modelSource("acme/tiny", { quiet: true }, all.settings)).fetch("weights"),
      /its name has a step that leads elsewhere|has no file other\.safetensors/,
    );
  }
});

Deno.test("a listing in pages, and Xet-backed files", async () => {
  const xet = (path: string) => path === "model.safetensors" ? { xetHash: "a".repeat(64) } : {};
  await using all = await setup({
    files,
    listing: (entries) => entries.map((entry) => ({ ...entry, ...xet(entry.path) })),
  });
  all.hub.pageSize = 3;
  assert.equal((await fetchOne(all.settings)).length, weights.length);
  assert.equal(requestsOf(all.hub, /\/tree\//).length, 4);
});

Deno.test("a body cut short goes on from its exact byte", async () => {
  await using all = await setup();
  all.hub.fault = ({ server }, count) =>
    server === "storage" && count < 2 ? { cut: 1000 + count } : undefined;
  assert.equal(sha256(await fetchOne(all.settings)), sha256(weights));
  const storage = all.hub.log.filter(({ server }) => server === "storage");
  assert.deepEqual(storage.map(({ range }) => range), [undefined, "bytes=1000-299999", "bytes=2001-299999"]);
  assert.deepEqual(storage.map(({ ifRange }) => ifRange), [
    undefined,
    ...Array(2).fill(`"storage-${sha256(weights).slice(0, 16)}"`),
  ]);
  assert.equal(all.waits.length, 2);
  assert.ok(all.waits[0] >= 750 && all.waits[0] <= 1250 && all.waits[1] >= 1500, `${all.waits}`);
});

Deno.test("a download that ended goes on from its exact byte the next time", async () => {
  await using all = await setup();
  all.hub.fault = ({ server }, count) => server === "storage" ? { cut: count === 0 ? 5000 : 0 } : undefined;
  await refused(
    fetchOne(all.settings),
    /acme\/tiny: model\.safetensors: the connection (broke|ended at byte \d+ of 300000) \(5 tries\)/,
  );
  const partial = join(all.settings.cache, "models--acme--tiny/blobs", `${sha256(weights)}.incomplete`);
  assert.deepEqual(await Deno.readFile(partial), weights.slice(0, 5000));
  all.hub.fault = () => undefined;
  all.hub.log.length = 0;
  assert.equal(sha256(await fetchOne(all.settings)), sha256(weights));
  assert.deepEqual(all.hub.log.filter(({ server }) => server === "storage").map(({ range }) => range), [
    "bytes=5000-299999",
  ]);
  await assert.rejects(Deno.stat(partial), Deno.errors.NotFound);
});

Deno.test("killed in the middle: the next process goes on from the byte that was written last", async () => {
  const large = noise(9_000_000);
  await using all = await setup({ files: { "config.json": "{}", "model.safetensors": large } });
  const { hub, settings } = all;
  hub.fault = ({ server }) => server === "storage" ? { silence: 3_000_000 } : undefined;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "tests/hub_run.ts", "acme/tiny", "model"],
    cwd: join(import.meta.dirname!, ".."),
    env: { HF_ENDPOINT: hub.url, HF_HUB_CACHE: settings.cache, HF_TOKEN: TOKEN, HF_HUB_OFFLINE: "" },
    stderr: "null",
  }).spawn();
  const partial = join(settings.cache, "models--acme--tiny/blobs", `${sha256(large)}.incomplete`);
  const size = async () => (await Deno.stat(partial).catch(() => undefined))?.size;
  for (let waited = 0; await size() !== 3_000_000; waited += 20) {
    assert.ok(waited < 20_000, "the first bytes never came");
    await new Promise((done) => setTimeout(done, 20));
  }
  child.kill("SIGKILL");
  await child.status;
  hub.fault = () => undefined;
  hub.log.length = 0;
  assert.equal(sha256(await fetchOne(settings)), sha256(large));
  assert.deepEqual(hub.log.filter(({ server }) => server === "storage").map(({ range }) => range), [
    "bytes=3000000-8999999",
  ]);
});

Deno.test("a cached file that lost its end is fetched again", async () => {
  await using all = await setup();
  await fetchOne(all.settings);
  await Deno.truncate(join(all.settings.cache, "models--acme--tiny/blobs", sha256(weights)), 100);
  assert.equal(sha256(await fetchOne(all.settings)), sha256(weights));
});

Deno.test("asked for twice at once, a file is fetched once", async () => {
  await using all = await setup();
  const both = await Promise.all([fetchOne(all.settings), fetchOne(all.settings)]);
  assert.deepEqual(both.map(sha256), [sha256(weights), sha256(weights)]);
  assert.equal(all.hub.log.filter(({ server }) => server === "storage").length, 1);
});

Deno.test("a wrong beginning from an earlier try: the hash finds it, and the file comes anew", async () => {
  await using all = await setup();
  const blobs = join(all.settings.cache, "models--acme--tiny/blobs");
  await Deno.mkdir(blobs, { recursive: true });
  await Deno.writeFile(join(blobs, `${sha256(weights)}.incomplete`), new Uint8Array(7000));
  assert.equal(sha256(await fetchOne(all.settings)), sha256(weights));
  assert.deepEqual(all.hub.log.filter(({ server }) => server === "storage").map(({ range }) => range), [
    "bytes=7000-299999",
    undefined,
  ]);
});

Deno.test("a server without ranges begins anew", async () => {
  await using all = await setup();
  all.hub.fault = ({ server }, count) =>
    server === "storage" ? { noRanges: true, ...(count === 0 && { cut: 900 }) } : undefined;
  assert.equal(sha256(await fetchOne(all.settings)), sha256(weights));
  assert.equal(all.hub.log.filter(({ server }) => server === "storage").length, 3);
});

Deno.test("a large file in parts at once, each from its own byte, in order on disk", async () => {
  await using all = await setup();
  const { hub, settings } = all;
  const blob = join(settings.cache, "blob");
  const file: RepoFile = {
    path: "model.safetensors",
    size: weights.length,
    oid: gitBlob("pointer"),
    sha256: sha256(weights),
  };
  let open = 0, most = 0, shown = 0;
  hub.fault = ({ range }, count) => {
    most = Math.max(most, ++open);
    setTimeout(() => open--, 10);
    return range === "bytes=60000-79999" && count < 6 ? { cut: 7000 } : undefined;
  };
  const address = `${hub.url}/acme/tiny/resolve/main/model.safetensors`;
  await downloadBlob({
    settings,
    repo,
    file,
    blob,
    address,
    partBytes: 20_000,
    onBytes: (bytes) => shown += bytes,
  });
  assert.equal(sha256(await Deno.readFile(blob)), sha256(weights));
  assert.equal(shown, weights.length);
  assert.ok(most >= 3, `${most} at once`);
  const ranges = hub.log.filter(({ server }) => server === "storage").map(({ range }) => range);
  assert.equal(ranges[0], "bytes=0-19999");
  for (let at = 0; at < 15; at++) assert.ok(ranges.includes(`bytes=${at * 20_000}-${at * 20_000 + 19_999}`));
  assert.ok(ranges.includes("bytes=67000-79999"), `${ranges}`);
  assert.equal(ranges.length, 16);
});

Deno.test("a wrong hash twice: refused, nothing kept; once: fetched again", async () => {
  await using all = await setup();
  const blobs = join(all.settings.cache, "models--acme--tiny/blobs");
  for (const path of ["model.safetensors", "tokenizer.json"]) {
    all.hub.fault = (request) =>
      /storage|resolve-cache/.test(request.server + request.path) ? { corrupt: 5 } : undefined;
    await refused(
      fetchOne(all.settings, path),
      /came twice with another content than its hash .*nothing of it is kept/,
    );
    assert.deepEqual([...Deno.readDirSync(blobs)], []);
    await assert.rejects(Deno.lstat(join(blobs, "../snapshots", all.hub.commit("models/acme/tiny"), path)));
  }
  let spoilt = 0;
  all.hub.fault = ({ server }) => server === "storage" && spoilt++ === 0 ? { corrupt: 5 } : undefined;
  assert.equal(sha256(await fetchOne(all.settings)), sha256(weights));
});

Deno.test("sizes that differ from the listing are refused", async () => {
  const larger: HubRepo["listing"] = (entries) =>
    entries.map((entry) => entry.lfs ? { ...entry, lfs: { ...entry.lfs, size: 10 } } : entry);
  await using lying = await setup({ files, listing: larger });
  await refused(fetchOne(lying.settings), /has 10 bytes by the Hub's listing, but the server sends 300000/);
  await using all = await setup();
  all.hub.fault = ({ server }) => server === "storage" ? { extra: 9 } : undefined;
  await refused(fetchOne(all.settings), /sends more than the 300000 bytes that the Hub lists/);
});

Deno.test("a silent body is given up and taken up again", async () => {
  await using all = await setup();
  all.hub.fault = ({ server }, count) => server === "storage" && count === 0 ? { silence: 4000 } : undefined;
  assert.equal(sha256(await fetchOne({ ...all.settings, timeout: 200 })), sha256(weights));
  assert.deepEqual(all.hub.log.filter(({ server }) => server === "storage").map(({ range }) => range), [
    undefined,
    "bytes=4000-299999",
  ]);
  all.hub.fault = ({ path }) => path.includes("/revision/") ? { silence: 0 } : undefined;
  await refused(
    fetchOne({ ...all.settings, timeout: 50, cache: join(all.settings.cache, "other") }),
    /no byte came for 0\.05 s \(5 tries\)/,
  );
});

Deno.test("429: Retry-After is honoured; too long a wait, and too many, end in a sentence", async () => {
  await using all = await setup();
  const { hub, waits, settings } = all;
  const busy = (headers: Record<string, string>): Fault => ({ status: 429, headers });
  hub.fault = ({ path }, count) =>
    path.includes("/revision/") && count < 2 ? busy({ "retry-after": "7" }) : undefined;
  await fetchOne(settings);
  assert.deepEqual(waits, [7000, 7000]);
  hub.fault = ({ server }, count) => server === "storage" && count === 0 ? { status: 503 } : undefined;

  const fresh = (name: string) => ({ ...settings, cache: join(settings.cache, name) });
  waits.length = 0;
  hub.fault = () =>
    busy({ ratelimit: '"api";r=0;t=55', "ratelimit-policy": '"fixed window";"api";q=500;w=300' });
  await refused(fetchOne(fresh("a")), /has had too many requests from here \(429; .*\) \(5 tries\)/);
  assert.deepEqual(waits, [55_000, 55_000, 55_000, 55_000]);
  waits.length = 0;
  const soon = { "retry-after": new Date(Date.now() + 20_000).toUTCString() };
  hub.fault = ({ path }, count) => path.includes("/tree/") && count === 1 ? busy(soon) : undefined;
  await fetchOne(fresh("date"));
  assert.ok(waits[0] > 15_000 && waits[0] <= 20_000, `${waits}`);
  hub.fault = () => busy({ "retry-after": "3600" });
  await refused(fetchOne(fresh("b")), /asks to wait 60 minutes: try again then/);
});

Deno.test("5xx: tried again with growing pauses, then a sentence; a cached model goes on", async () => {
  await using all = await setup();
  const { hub, waits, settings } = all;
  await fetchOne(settings);
  waits.length = 0;
  hub.fault = () => ({ status: 502 });
  await refused(
    fetchOne({ ...settings, cache: join(settings.cache, "new") }),
    /^127\.0\.0\.1:\d+: 127\.0\.0\.1:\d+ answered 502 \(5 tries\)/,
  );
  waits.forEach((wait, i) => assert.ok(wait >= 750 * 2 ** i && wait <= 1250 * 2 ** i, `${waits}`));
  const said = console.error, lines: string[] = [];
  console.error = (line) => lines.push(line);
  try {
    assert.equal((await fetchOne(settings)).length, weights.length);
  } finally {
    console.error = said;
  }
  assert.match(lines.join(), /Going on with acme\/tiny as it is in the cache/);
});

Deno.test("401, 403, 404: each says what to do, none is tried again", async () => {
  const cases: [Partial<HubRepo> | undefined, Partial<HubSettings>, RegExp, Fault?][] = [
    [
      { gated: true },
      { token: undefined },
      /acme\/tiny is gated: accept its terms on http.*\/acme\/tiny, then set HF_TOKEN/,
    ],
    [{ gated: true }, {}, /gated, and the token's account has no access.*ask for access on/, {
      status: 403,
      headers: {
        "x-error-code": "GatedRepo",
        "x-error-message": "Access restricted, you are not in the authorized list",
      },
    }],
    [
      { private: true },
      { token: undefined },
      /There is no model "acme\/tiny" on the Hub or here, or it is private: .*set HF_TOKEN/,
    ],
    [
      undefined,
      {},
      /There is no model "acme\/tiny" on the Hub or here, or the token's account may not see it/,
    ],
    [{}, { token: "hf_wrong" }, /The Hub does not know the token \(HF_TOKEN or the token file\)/],
    [
      {},
      {},
      /The Hub refuses model\.safetensors \(Your token \[token\] lacks rights\): check the token's rights/,
      {
        status: 403,
        headers: { "x-error-message": `Your token ${TOKEN} lacks rights.` },
      },
    ],
  ];
  for (const [changes, change, pattern, fault] of cases) {
    await using all = await setup({ files, ...changes }, changes ? "models/acme/tiny" : "models/acme/other");
    if (fault) all.hub.fault = ({ path }) => path.includes("/resolve/") ? fault : undefined;
    await refused(fetchOne({ ...all.settings, ...change }), pattern);
    assert.equal(all.waits.length, 0);
  }
  await using all = await setup();
  await refused(
    openRepo({ ...repo, revision: "v9" }, all.settings),
    /acme\/tiny has no revision "v9" on the Hub/,
  );
  await refused(
    fetchOne(all.settings, "absent.json"),
    /acme\/tiny has no file absent\.json at revision "main"/,
  );
  all.hub.fault = () => ({ status: 200, body: "<html>Welcome to the hotel's network</html>" });
  await refused(
    fetchOne({ ...all.settings, cache: join(all.settings.cache, "n") }),
    /does not answer as a Hub does: check HF_ENDPOINT/,
  );
});

Deno.test("offline: what is cached is used, without a request; what is not says so", async () => {
  await using all = await setup();
  const offline = { ...all.settings, offline: true };
  await refused(
    modelSource("acme/tiny", {}, offline),
    /acme\/tiny \(revision "main"\) is not in the cache .*HF_HUB_OFFLINE is set/,
  );
  await fetchOne(all.settings, "config.json");
  all.hub.log.length = 0;
  await (await modelSource("acme/tiny", {}, offline)).fetch("config");
  assert.equal(new TextDecoder().decode(await fetchOne(offline, "config.json")), files["config.json"]);
  await refused(fetchOne(offline), /acme\/tiny\/model\.safetensors .* is not in the cache/);
  // A cache that an older huggingface_hub filled has no listing.
  await Deno.remove(join(offline.cache, "models--acme--tiny/trees"), { recursive: true });
  await (await modelSource("acme/tiny", {}, offline)).fetch("config", "tokenizer");
  assert.equal(all.hub.log.length, 0);
});

Deno.test("hostile names and redirects", async () => {
  for (
    const path of [
      "../x",
      "a/../../x",
      "/etc/passwd",
      "a\\..\\x",
      "C:\\x",
      "C:x",
      "a\0b",
      "nul",
      "a/CON.json",
      "x.",
      "a//b",
      "./a",
      "a\nb",
      "",
    ]
  ) {
    assert.throws(() => checkFileName(path, "acme/tiny"), UserError, JSON.stringify(path));
  }
  for (
    const path of ["a.json", "data/train-00000-of-00001.parquet", "é/ü.txt", ".gitattributes", "console.json"]
  ) checkFileName(path, "x");
  const hostile = { type: "file" as const, path: "../../../owned.txt", size: 1, oid: gitBlob("x") };
  await using all = await setup({ files, listing: (entries) => [...entries, hostile] });
  await refused(
    fetchOne(all.settings, hostile.path),
    /is not fetched, as its name has a step that leads elsewhere/,
  );
  await using bad = await setup({
    files,
    listing: (entries) => entries.map((entry) => ({ ...entry, oid: "../../x" })),
  });
  await refused(fetchOne(bad.settings), /The listing of the repository's files is malformed/);

  for (
    const location of ["file:///etc/passwd", "ftp://x/y", "http://user:word@localhost/", "data:text/plain,x"]
  ) {
    all.hub.fault = ({ path }) =>
      path.includes("/resolve/") ? { status: 302, headers: { location } } : undefined;
    await refused(fetchOne(all.settings), /which is not followed/);
  }
  all.hub.fault = ({ path }) =>
    path.includes("/resolve/") ? { status: 302, headers: { location: path } } : undefined;
  await refused(fetchOne(all.settings), /sends in circles/);
});

Deno.test("the token stays with the Hub's own origin: not in redirects, not in pages of the listing", async () => {
  await using all = await setup();
  await using thief = startHub({});
  all.hub.fault = ({ path }) =>
    path.includes("/tree/")
      ? { headers: { link: `<${thief.url}/api/models/acme/tiny/tree/main>; rel="next"` } }
      : undefined;
  thief.fault = () => ({ status: 200, body: "[]" });
  await fetchOne(all.settings, "config.json");
  assert.deepEqual(thief.log.map(({ authorization }) => authorization), [undefined]);
});

Deno.test("from https nothing leads back to http, and the token goes to the endpoint's host, scheme and port alone", async () => {
  const seen: [string, string | null][] = [], real = globalThis.fetch;
  const answers: Record<string, string> = {
    "https://hub.test/a": "https://storage.test/a",
    "https://storage.test/a": "http://hub.test/a",
    "https://hub.test/b": "https://hub.test:8443/b",
  };
  globalThis.fetch = (input, init) => {
    seen.push([String(input), new Headers(init?.headers).get("authorization")]);
    const location = answers[String(input)];
    return Promise.resolve(
      location ? new Response(null, { status: 302, headers: { location } }) : new Response("end"),
    );
  };
  await using all = await setup();
  const settings = { ...all.settings, endpoint: "https://hub.test" };
  try {
    await refused(
      request(settings, "https://hub.test/a"),
      /redirects to http:\/\/hub\.test, which is not followed/,
    );
    (await request(settings, "https://hub.test/b")).cancel();
  } finally {
    globalThis.fetch = real;
  }
  const own = `Bearer ${TOKEN}`;
  assert.deepEqual(seen, [
    ["https://hub.test/a", own],
    ["https://storage.test/a", null],
    ["https://hub.test/b", own],
    ["https://hub.test:8443/b", null],
  ]);
});

Deno.test("what is a name on the Hub and what is a path", () => {
  for (
    const name of [
      "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
      "gpt2",
      "bert-base-uncased",
      "a/b",
      "Qwen/Qwen2.5-0.5B",
    ]
  ) assert.ok(isHubName(name), name);
  for (
    const name of [
      "./a/b",
      "../a",
      "a/b/",
      "/a/b",
      "a/b/c",
      "a\\b",
      "rows.jsonl",
      "data/rows.jsonl",
      "a--b/c",
      "a/..",
      "a..b",
      "",
      "x/y.git",
      "datasets/rows.csv.gz",
      "a b",
      "~/x",
      "http://x/y",
      "-a/b",
      "*.json",
    ]
  ) assert.ok(!isHubName(name), name);
});

Deno.test("the byte line: bytes, speed, time left", () => {
  let time = 0;
  const written: string[] = [];
  const line = byteLine({
    label: "acme/tiny",
    total: 4e6,
    have: 1e6,
    output: { isTerminal: true, columns: 200, write: (text) => written.push(text) },
    now: () => time,
  });
  time = 1000;
  line.add(1e6);
  line.add(1);
  time = 3000;
  line.add(2e6 - 1);
  line.finish();
  const quick = byteLine({
    label: "config.json",
    total: 600,
    output: { isTerminal: false, write: assert.fail },
    now: () => time,
  });
  quick.add(600);
  quick.finish();
  assert.deepEqual(written, [
    "\racme/tiny ██████████░░░░░░░░░░ 2 MB of 4 MB · 1 MB/s · 2.0 s left\x1b[K",
    "\racme/tiny ████████████████████ 4 MB of 4 MB · 1 MB/s · 0 ms left\x1b[K",
    "\racme/tiny ████████████████████ 4 MB of 4 MB · 1 MB/s · in 3.0 s\x1b[K\n",
  ]);
});
