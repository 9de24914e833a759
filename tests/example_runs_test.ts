// The FinSight and FinGPT examples as processes, under the permissions that they name: a few steps, all files, and mistakes.

import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";

const root = fromFileUrl(new URL("..", import.meta.url));

async function run(
  example: string,
  args: string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "-P=train", `examples/${example}.ts`, ...args],
    cwd: root,
    env: { FINTUNE_BACKEND: "cpu", NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function assertFiles(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) assert.ok((await Deno.stat(join(folder, name))).size > 300, name);
}

Deno.test("smollm2_finsight.ts: curation, statistics, training, scores, charts", () =>
  withFolder(async (folder) => {
    const { code, stdout, stderr } = await run("smollm2_finsight", [
      "--max-steps",
      "2",
      "--test",
      "10",
      "--out",
      folder,
    ]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /\| no two alike/);
    assert.match(stdout, /\| each message alone/);
    assert.match(stdout, /trainable params: [\d,]+ /);
    assert.match(stdout, /\| ROUGE-L /);
    assert.match(stdout, /\| reddit /);
    await assertFiles(folder, [
      "adapter/adapter_model.safetensors",
      "evaluation/scores.md",
      ...["funnel", "loss", "scores"].flatMap((name) => [`${name}.svg`, `${name}.png`]),
    ]);
  }));

Deno.test("mistral_gemma_fingpt.ts: both tasks, both families", () =>
  withFolder(async (folder) => {
    const few = ["--rows", "60", "--test", "12", "--max-steps", "2", "--out", folder];
    const { code, stdout, stderr } = await run("mistral_gemma_fingpt", few);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /\| tuned, free answer /);
    assert.match(stdout, /FPB accuracy .*FiQA accuracy .*TFNS accuracy/);
    assert.match(stdout, /\| exact match /);
    for (const task of ["sentiment", "answers"]) {
      await assertFiles(join(folder, task), [
        "adapter/adapter_model.safetensors",
        "evaluation/scores.md",
        "loss.png",
        "scores.png",
      ]);
    }
    await assertFiles(join(folder, "sentiment"), ["confusion.svg", "confusion.png"]);
  }));

Deno.test("what cannot be meant is one sentence", async () => {
  const wrong: [string, string[], RegExp][] = [
    ["smollm2_finsight", ["--model", "x"], /^Name both: --model <folder> \(or --full\) and --data/m],
    ["smollm2_finsight", ["--full"], /^Name both/m],
    ["mistral_gemma_fingpt", ["--model", "x", "--data", "y"], /add --task sentiment or --task answers/],
    [
      "mistral_gemma_fingpt",
      ["--task", "sentiments"],
      /--task is "sentiments"; it is one of both, sentiment, answers/,
    ],
    ["notebooks", ["--owerwrite"], /--owerwrite is no flag; there are --out, --flags and --overwrite/],
    ["notebooks", ["--out", "README.md"], /The folder README\.md cannot be made/],
    ["notebooks", ["tiny_example"], /There is no example tiny_example/],
  ];
  for (const [example, args, message] of wrong) {
    const { code, stderr } = await run(example, args);
    assert.equal(code, 1, stderr);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /\n\s+at /);
  }
});
