// The real huggingface_hub, PEFT and Transformers on the other side: huggingface_hub pushes to the loopback Hub (so the tests'
// server speaks the protocol) and reads the card; the code that the card shows is run as it stands, in both languages.
// Run by `deno task test:interop`; FINTUNE_PYTHON names a Python with requirements.txt installed (default python3).
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { openSafetensors, writeSafetensors } from "../../lib/formats/safetensors.ts";
import { attachLoRA } from "../../lib/lora.ts";
import { loadModel } from "../../lib/models/load.ts";
import { saveAdapter } from "../../lib/peft.ts";
import { pushToHub } from "../../lib/publish/push_to_hub.ts";
import { type HubRepo, variablesFor, withVariables } from "../hub_server.ts";
import { published, type PushHub, startPushHub } from "../hub_push_server.ts";
import { evaluated, writeRun } from "../push_run.ts";

const script = fromFileUrl(new URL("./push_interop.py", import.meta.url));
const root = fromFileUrl(new URL("../../", import.meta.url));
const tiny = join(root, "examples/tiny/model");

interface Setup extends AsyncDisposable {
  hub: PushHub;
  /** An empty folder. */
  folder: string;
  variables: Record<string, string>;
  python<T>(...args: string[]): Promise<T>;
}

async function setup(repos: Record<string, HubRepo> = {}): Promise<Setup> {
  const hub = startPushHub(repos), folder = await Deno.makeTempDir(), cache = await Deno.makeTempDir();
  const variables = {
    ...variablesFor(hub, cache),
    HF_HUB_OFFLINE: "0",
    HF_HUB_DISABLE_XET: "1",
    HF_HUB_DISABLE_TELEMETRY: "1",
  };
  return {
    hub,
    folder,
    variables,
    python: async <T>(...args: string[]) =>
      JSON.parse(await run("python", [script, ...args], variables)) as T,
    async [Symbol.asyncDispose]() {
      await hub[Symbol.asyncDispose]();
      for (const path of [folder, cache]) await Deno.remove(path, { recursive: true });
    },
  };
}

/** A program's last line. */
async function run(program: "python" | "deno", args: string[], env: Record<string, string>): Promise<string> {
  const path = program === "deno" ? Deno.execPath() : Deno.env.get("FINTUNE_PYTHON") ?? "python3";
  const { success, stdout, stderr } = await new Deno.Command(path, { args, env }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trimEnd();
}

for (const partBytes of [Infinity, 100_000]) {
  Deno.test(`huggingface_hub pushes to the loopback Hub (parts of ${partBytes}); what it has pushed is not sent again`, async () => {
    await using all = await setup();
    const { hub, folder, variables, python } = all;
    hub.partBytes = partBytes;
    await saveAdapter(attachLoRA(await loadModel(tiny), { r: 8, quiet: true }), join(folder, "adapter"));
    const config = join(folder, "adapter/adapter_config.json");
    const named = { ...JSON.parse(await Deno.readTextFile(config)), base_model_name_or_path: "acme/tiny" };
    await Deno.writeTextFile(config, JSON.stringify(named, null, 2) + "\n");
    const { commit, private: isPrivate } = await python<{ commit: string; private: boolean }>(
      "push",
      join(folder, "adapter"),
      "acme/lora",
    );
    assert.equal(commit, hub.commit("models/acme/lora"));
    assert.equal(isPrivate, true);
    hub.log.length = 0;
    await withVariables(variables, () =>
      pushToHub(join(folder, "adapter"), "acme/lora", {
        card: false,
        quiet: true,
        confirm: ({ repos }) => {
          assert.deepEqual(repos[0].files.map(({ state }) => state), ["there", "there"]);
          return true;
        },
      }));
    assert.ok(hub.log.every(({ method }) => method === "GET"));
  });
}

Deno.test("huggingface_hub reads the card as it was meant", async () => {
  await using all = await setup({ "models/acme/base": { files: {}, cardData: { license: "llama3.2" } } });
  const { folder, variables, python } = all;
  await writeRun(folder, "acme/base");
  await withVariables(
    variables,
    () =>
      pushToHub(folder, "acme/lora", { quiet: true, confirm: () => true, card: { language: ["en", "de"] } }),
  );
  const held = ["text-generation", "gbharti/finance-alpaca", "gbharti/finance-alpaca, held-out rows"];
  const values = evaluated.measures.map(({ values }) => Number(values.tuned.value.toPrecision(6)));
  assert.deepEqual(await python("card", "acme/lora"), {
    base_model: "acme/base",
    datasets: ["gbharti/finance-alpaca"],
    language: ["en", "de"],
    library_name: "peft",
    license: "llama3.2",
    metrics: ["rouge", "bleu", "loss"],
    pipeline_tag: "text-generation",
    tags: ["fintune", "finance", "lora", "qlora", "base_model:adapter:acme/base"],
    model_name: "lora",
    results: [
      [...held, "rouge", "ROUGE-L", values[0]],
      [...held, "bleu", "BLEU", values[1]],
      [...held, "loss", "general loss", values[2]],
    ],
  });
});

Deno.test("the code of an adapter's card runs as it stands in PEFT and here, and both answer the same", async () => {
  const base: HubRepo = { files: {} };
  for await (const { name } of Deno.readDir(tiny)) base.files[name] = await Deno.readFile(join(tiny, name));
  await using all = await setup({ "models/acme/tiny": base });
  const { hub, folder, variables } = all;
  await writeRun(folder, "acme/tiny");
  await writeAdapter(join(folder, "adapter"));
  await withVariables(variables, () =>
    pushToHub(folder, "acme/lora", {
      quiet: true,
      baseModel: "acme/tiny",
      confirm: () => true,
    }));
  const card = published(hub, "models/acme/lora", "README.md");
  const code = (language: string) => new RegExp("```" + language + "\n([\\s\\S]*?)```").exec(card)![1];
  await Deno.writeTextFile(join(folder, "use.py"), code("python"));
  await Deno.writeTextFile(join(folder, "use.ts"), code("ts"));
  const config = join(root, "deno.json");
  const ours = await run(
    "deno",
    ["run", "-A", "--no-check", "--config", config, join(folder, "use.ts")],
    variables,
  );
  const theirs = await run("python", [join(folder, "use.py")], variables);
  assert.equal(ours.trim(), theirs.trim());
  assert.ok(ours.trim().length > 20, ours);
});

/** An adapter that changes the answers: B is not zero. */
async function writeAdapter(folder: string): Promise<void> {
  const model = attachLoRA(await loadModel(tiny), { r: 8, targetModules: ["q_proj", "v_proj"], quiet: true });
  await saveAdapter(model, folder, { overwrite: true });
  const path = join(folder, "adapter_model.safetensors"), file = await openSafetensors(path);
  const tensors = new Map();
  let x = 1;
  for (const [name, { shape }] of file.tensors) {
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    for (let i = 0; i < values.length; i++) {
      values[i] = ((x = (x * 48271) % 2147483647) / 2147483647 - 0.5) / 5;
    }
    tensors.set(name, { dtype: "F32", shape, data: new Uint8Array(values.buffer) });
  }
  file.close();
  await writeSafetensors(path, tensors, { format: "pt" }, { overwrite: true });
}
