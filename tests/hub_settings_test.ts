// The Hub's variables, token files and permissions: as huggingface_hub reads them, and each missing permission as a sentence.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { UserError } from "../lib/errors.ts";
import { hubSettings } from "../lib/hub/settings.ts";
import { type HubServer, startHub, TOKEN } from "./hub_server.ts";

const root = join(import.meta.dirname!, "..");
const NAMES = [
  ...[
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HF_TOKEN_PATH",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
  ],
  ...[
    "HUGGINGFACE_HUB_CACHE",
    "HUGGING_FACE_HUB_TOKEN",
    "TRANSFORMERS_OFFLINE",
    "XDG_CACHE_HOME",
    "HOME",
    "HF_HUB_DISABLE_SYMLINKS",
  ],
];

/** With these variables and none of the others. */
async function withVariables<T>(variables: Record<string, string>, action: () => Promise<T>): Promise<T> {
  const before = NAMES.map((name) => [name, Deno.env.get(name)] as const);
  for (const name of NAMES) {
    if (variables[name] === undefined) Deno.env.delete(name);
    else Deno.env.set(name, variables[name]);
  }
  try {
    return await action();
  } finally {
    for (const [name, value] of before) {
      value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
    }
  }
}

const settingsWith = (variables: Record<string, string>) => withVariables(variables, hubSettings);

Deno.test("the cache's folder, as huggingface_hub finds it", async () => {
  const cases: [Record<string, string>, string][] = [
    [{ HOME: "/h" }, "/h/.cache/huggingface/hub"],
    [{ HOME: "/h", XDG_CACHE_HOME: "/x" }, "/x/huggingface/hub"],
    [{ HOME: "/h", XDG_CACHE_HOME: "/x", HF_HOME: "~/hf" }, "/h/hf/hub"],
    [{ HOME: "/h", HF_HOME: "/hf", HUGGINGFACE_HUB_CACHE: "/old" }, "/old"],
    [{ HF_HUB_CACHE: "/cache", HUGGINGFACE_HUB_CACHE: "/old" }, "/cache"],
  ];
  for (const [variables, cache] of cases) assert.equal((await settingsWith(variables)).cache, cache);
  await assert.rejects(settingsWith({}), /--allow-env=HF_\*,HOME/);
});

Deno.test("the endpoint, and switches", async () => {
  const plain = await settingsWith({ HOME: "/h" });
  assert.equal(plain.endpoint, (await import("@huggingface/hub")).HUB_URL);
  assert.deepEqual([plain.offline, plain.symlinks, plain.token], [false, true, undefined]);
  const other = await settingsWith({
    HOME: "/h",
    HF_ENDPOINT: "http://mirror.test/",
    HF_HUB_OFFLINE: "yes",
    HF_HUB_DISABLE_SYMLINKS: "1",
  });
  assert.deepEqual([other.endpoint, other.offline, other.symlinks], ["http://mirror.test", true, false]);
  for (
    const HF_ENDPOINT of [
      "mirror",
      "ftp://mirror.test",
      "http://user:word@mirror.test",
      "http://mirror.test/?a=b",
    ]
  ) {
    await assert.rejects(settingsWith({ HOME: "/h", HF_ENDPOINT }), UserError);
  }
});

Deno.test("the token: HF_TOKEN, else the file of `hf auth login`; a broken one is refused unseen", async () => {
  const home = await Deno.makeTempDir();
  await Deno.writeTextFile(join(home, "token"), "hf_fromFile\n");
  await Deno.writeTextFile(join(home, "other"), "  hf_other\r\n");
  const cases: [Record<string, string>, string | undefined][] = [
    [{ HF_HOME: home }, "hf_fromFile"],
    [{ HF_HOME: home, HF_TOKEN: "hf_variable " }, "hf_variable"],
    [{ HF_HOME: home, HF_TOKEN_PATH: join(home, "other") }, "hf_other"],
    [{ HF_HOME: home, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }, undefined],
    [{ HF_HOME: home, HF_TOKEN_PATH: join(home, "none") }, undefined],
    [{ HF_HUB_CACHE: home }, undefined],
  ];
  for (const [variables, token] of cases) assert.equal((await settingsWith(variables)).token, token);
  await assert.rejects(
    settingsWith({ HF_HOME: home, HF_TOKEN: "hf_secret\nX-Header: 1" }),
    (error: Error) => error instanceof UserError && !error.message.includes("secret"),
  );
  await Deno.remove(home, { recursive: true });
});

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Prints a field of a Hub model's configuration, in a process with these permissions and variables alone. */
async function run(permissions: string[], variables: Record<string, string>): Promise<Outcome> {
  const env = Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => !NAMES.includes(name) || name === "HOME"),
  );
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", ...permissions, "tests/hub_run.ts", "acme/tiny", "config"],
    cwd: root,
    clearEnv: true,
    env: { ...env, NO_COLOR: "1", ...variables },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  assert.ok(!text(stdout).includes(TOKEN) && !text(stderr).includes(TOKEN), "the token was shown");
  return {
    code,
    stdout: text(stdout),
    stderr: text(stderr).replace(/^Warning Permissions in the config file.*\n?/, ""),
  };
}

async function withHub(
  action: (hub: HubServer, variables: Record<string, string>, cache: string) => Promise<void>,
): Promise<void> {
  const config = await Deno.readTextFile(join(root, "tests/reference/llama_tied/model/config.json"));
  await using hub = startHub({ "models/acme/tiny": { files: { "config.json": config }, private: true } });
  const cache = await Deno.makeTempDir();
  try {
    await action(hub, { HF_ENDPOINT: hub.url, HF_HUB_CACHE: cache, HF_TOKEN: TOKEN }, cache);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

Deno.test("-P=hub is enough; -P=train has no network and says what is missing, and needs none for what is cached", async () => {
  await withHub(async (hub, variables) => {
    const lacking = await run(["-P=train"], variables);
    assert.deepEqual([lacking.code, lacking.stdout], [1, ""]);
    assert.match(
      lacking.stderr,
      /cache is not known: run with --allow-env=HF_\*,HOME,XDG_CACHE_HOME \(-P=hub has it\)/,
    );
    const offline = ["-P=train", "--allow-env"];
    const host = hub.url.slice("http://".length);
    const refused = await run(offline, variables);
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      new RegExp(
        `^There is no file or folder acme/tiny here, and as a name on the Hub: no permission to reach ${host}: run with --allow-net=${host} `,
      ),
    );
    assert.equal(hub.log.length, 0);
    const { code, stdout, stderr } = await run(["-P=hub"], variables);
    assert.deepEqual([code, stdout], [0, "64"], stderr);
    assert.equal(stderr, "");
    const cached = await run(offline, variables);
    assert.deepEqual([cached.code, cached.stdout], [0, "64"], cached.stderr);
    assert.match(cached.stderr, /Going on with acme\/tiny as it is in the cache/);
    const quiet = await run(offline, { ...variables, HF_HUB_OFFLINE: "1" });
    assert.deepEqual([quiet.code, quiet.stdout, quiet.stderr], [0, "64", ""]);
  });
});

Deno.test("links need permission for the whole disk: with a folder's alone the files lie in the snapshot", async () => {
  await withHub(async (hub, variables, cache) => {
    const { host } = new URL(hub.url);
    const scoped = [`--allow-read`, `--allow-write=${cache}`, `--allow-net=${host}`, "--allow-env"];
    const { code, stdout, stderr } = await run(scoped, variables);
    assert.deepEqual([code, stdout], [0, "64"], stderr);
    const file = join(cache, "models--acme--tiny/snapshots", hub.commit("models/acme/tiny"), "config.json");
    assert.ok((await Deno.lstat(file)).isFile);
  });
});
