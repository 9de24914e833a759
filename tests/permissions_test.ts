// Permissions: the sets of deno.json are enough, and where one is missing the user reads a sentence that names the flag.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { referenceFolder } from "./references.ts";

const root = join(import.meta.dirname!, "..");
const model = join(referenceFolder("llama_tied"), "model");
const adapter = await navigator.gpu?.requestAdapter() ?? null;

interface Outcome {
  code: number;
  /** What the script printed. */
  result?: { backend: string; loss: number; answer: number[] };
  /** Standard error without Deno's warnings and the Vulkan loader's complaint. */
  said: string;
  /** Names of the files in the folder it saves to. */
  files: string[];
}

/** Runs tests/small_run.ts with nothing but these permissions. */
async function run(
  permissions: string[],
  { backend, save = "adapter" }: { backend?: "cpu" | "webgpu"; save?: "adapter" | "model" } = {},
): Promise<Outcome> {
  const folder = await Deno.makeTempDir(), out = join(folder, "out");
  const { FINTUNE_BACKEND: _, ...env } = Deno.env.toObject();
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", ...permissions, "tests/small_run.ts", model, out, save],
    cwd: root,
    clearEnv: true,
    env: { ...env, NO_COLOR: "1", ...(backend ? { FINTUNE_BACKEND: backend } : {}) },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  const noise = /XDG_RUNTIME_DIR|^Warning Permissions in the config file/;
  const files = [...Deno.readDirSync(folder)].length > 0
    ? Array.from(Deno.readDirSync(out), ({ name }) => name)
    : [];
  await Deno.remove(folder, { recursive: true });
  return {
    code: output.code,
    result: output.stdout.length > 0 ? JSON.parse(text(output.stdout)) : undefined,
    said: text(output.stderr).split("\n").filter((line) => !noise.test(line)).join("\n"),
    files: files.sort(),
  };
}

/** Ends with 1, having printed one sentence and written nothing. */
function assertRefused({ code, result, said, files }: Outcome, pattern: RegExp): void {
  assert.match(said, pattern);
  assert.match(said, /^[^\n]{10,400}\.$/);
  assert.deepEqual([code, result, files], [1, undefined, []]);
}

Deno.test("-P=train is enough on the CPU", async () => {
  const { code, result, said, files } = await run(["-P=train"], { backend: "cpu" });
  assert.equal(said, "");
  assert.deepEqual([code, result?.backend, result?.answer.length], [0, "cpu", 4]);
  assert.deepEqual(files, ["adapter_config.json", "adapter_model.safetensors"]);
});

Deno.test({
  name: "-P=gpu is enough on WebGPU, and gives what -P=train gives",
  ignore: !adapter,
  async fn() {
    const [gpu, cpu] = [
      await run(["-P=gpu"], { backend: "webgpu" }),
      await run(["-P=train"], { backend: "cpu" }),
    ];
    assert.equal(gpu.said, "");
    assert.deepEqual([gpu.code, gpu.result?.backend, gpu.files], [0, "webgpu", cpu.files]);
    assert.ok(Math.abs(gpu.result!.loss - cpu.result!.loss) < 1e-4);
    assert.deepEqual(gpu.result!.answer, cpu.result!.answer);
  },
});

Deno.test("neither --allow-sys nor --allow-env is needed, nor the network", async () => {
  const least = await run(["--allow-read", "--allow-write", "--allow-ffi"]);
  const all = await run(["-A"], { backend: "cpu" });
  assert.deepEqual([least.code, least.said, all.said], [0, "", ""]);
  if (least.result!.backend === "cpu") assert.deepEqual(least.result, all.result);
});

Deno.test("without --allow-ffi the CPU backend says so", async () => {
  const message = /^The CPU backend runs on onnxruntime.*run with --allow-ffi \(-P=train has it\)/;
  assertRefused(await run(["-P=gpu"], { backend: "cpu" }), message);
});

Deno.test("without --allow-read, or with another folder's: the file and the flag", async () => {
  const config = join(model, "config.json");
  for (const read of [[], [`--allow-read=${join(root, "lib")}`]]) {
    const outcome = await run([...read, "--allow-write", "--allow-ffi"]);
    assertRefused(outcome, /^no permission to read .*config\.json: run with --allow-read \(or/);
    assert.ok(outcome.said.includes(`--allow-read=${config}`), outcome.said);
  }
});

Deno.test("without --allow-write: the folder and the flag, and nothing is left behind", async () => {
  for (const save of ["adapter", "model"] as const) {
    const outcome = await run(["--allow-read", "--allow-ffi"], { save });
    assertRefused(
      outcome,
      /^no permission to write .*out: run with --allow-write \(or --allow-write=.*out\)/,
    );
  }
});
