// The command of examples/publish.ts as people run it: nothing without an answer, killed in the middle, and gone on with.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { sha256, variablesFor } from "./hub_server.ts";
import { type PushHub, startPushHub } from "./hub_push_server.ts";

const root = fromFileUrl(new URL("../", import.meta.url));

function publish(hub: PushHub, folder: string, ...flags: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-P=hub", "--no-check", "examples/publish.ts", "--source", folder, ...flags],
    cwd: root,
    env: variablesFor(hub, join(folder, "cache")),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function ended(child: Deno.ChildProcess): Promise<{ code: number; out: string; error: string }> {
  const { code, stdout, stderr } = await child.output();
  const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out, error };
}

Deno.test("examples/publish.ts asks, is killed, and goes on without sending again what is there", async () => {
  await using hub = startPushHub();
  const folder = await Deno.makeTempDir();
  const shard = (i: number) => new Uint8Array(100_000).map((_, at) => at * i % 251);
  const name = (i: number) => `model-0000${i}-of-00002.safetensors`;
  await Deno.writeTextFile(join(folder, "config.json"), '{"model_type":"llama"}');
  await Deno.writeTextFile(join(folder, "rows.csv"), "a,b\n");
  for (const i of [1, 2]) await Deno.writeFile(join(folder, name(i)), shard(i));
  const target = ["--repo", "acme/tiny", "--license", "mit"];

  const unasked = await ended(publish(hub, folder, ...target));
  assert.equal(unasked.code, 1);
  assert.match(unasked.error, /^Nothing was published, as nobody can be asked here: .*\(--yes\)/m);
  assert.match(unasked.out, /Model acme\/tiny \(.*\), a new one, private: only its owner sees it/);
  assert.match(unasked.out, /rows\.csv +4 B +data, or what was made of it/);
  assert.deepEqual(hub.repos, {});

  const late = `/lfs/${sha256(shard(2))}`, reached = Promise.withResolvers<void>();
  hub.fault = ({ path }) => {
    if (path !== late) return;
    reached.resolve();
    return { status: 503, headers: { "retry-after": "200" } };
  };
  const killed = publish(hub, folder, ...target, "--yes");
  const end = ended(killed);
  await reached.promise;
  while (!hub.objects.has(sha256(shard(1)))) await new Promise((done) => setTimeout(done, 20));
  killed.kill("SIGKILL");
  await end;
  assert.deepEqual(Object.keys(hub.repos["models/acme/tiny"].files), [".gitattributes"]);

  hub.fault = () => undefined;
  hub.log.length = 0;
  const { code, out, error } = await ended(publish(hub, folder, ...target, "--yes"));
  assert.equal(code, 0, error);
  assert.match(out, new RegExp(`^${hub.url}/acme/tiny$`, "m"));
  const storage = hub.log.filter(({ server }) => server === "storage");
  assert.deepEqual(storage.map(({ path, sent }) => [path, sent]), [[late, 100_000]]);
  assert.deepEqual(hub.repos["models/acme/tiny"].files[name(1)], shard(1));
  await Deno.remove(folder, { recursive: true });
});
