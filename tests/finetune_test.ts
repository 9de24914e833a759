// examples/finetune.ts as a process, under the permissions that it names: help, mistakes, a whole run, Ctrl-C and going on.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { choice, number, on, readFlags, text, whole } from "../examples/flags.ts";
import { initModel, openDevice, parseConfig, readRunLog, saveModel } from "../mod.ts";

const root = fromFileUrl(new URL("..", import.meta.url));
const tokenizerFiles = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];

/** A folder with a small Qwen2 that has a tokenizer with a chat template, and with 30 conversations. */
async function material(): Promise<{ folder: string; model: string; data: string }> {
  const folder = await Deno.makeTempDir(), model = join(folder, "qwen2"), data = join(folder, "rows.jsonl");
  const config = parseConfig({
    model_type: "qwen2",
    vocab_size: 512,
    hidden_size: 64,
    intermediate_size: 128,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    tie_word_embeddings: true,
    bos_token_id: 1,
    eos_token_id: 2,
  });
  const device = await openDevice({ backend: "cpu" });
  await saveModel(await initModel(config, { device, seed: 3 }), model);
  for (const file of tokenizerFiles) {
    await Deno.copyFile(join(root, "tests/reference/tiny_tokenizer", file), join(model, file));
  }
  const rows = Array.from({ length: 30 }, (_, i) => ({
    messages: [
      { role: "user", content: `What is ${i} percent of 100 dollars?` },
      { role: "assistant", content: `It is ${i} dollars.` },
    ],
  }));
  await Deno.writeTextFile(data, rows.map((row) => JSON.stringify(row) + "\n").join(""));
  return { folder, model, data };
}

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the example; `onStderr` sees standard error as it comes. */
async function finetune(
  args: string[],
  onStderr: (text: string, child: Deno.ChildProcess) => void = () => {},
): Promise<Outcome> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "-P=train", "examples/finetune.ts", ...args],
    cwd: root,
    env: { FINTUNE_BACKEND: "cpu", NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let stderr = "";
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      stderr += text;
      onStderr(stderr, child);
    }
  })();
  const [{ code }, stdout] = await Promise.all([child.status, new Response(child.stdout).text(), reading]);
  const warning = /^Warning Permissions in the config file.*\n/gm;
  return { code, stdout, stderr: stderr.replace(warning, "") };
}

Deno.test("--help lists every flag with its default, and needs nothing", async () => {
  const { code, stdout, stderr } = await finetune(["--help"]);
  assert.deepEqual([code, stderr], [0, ""]);
  for (
    const line of [
      /--model <text> +Folder of a model/,
      /--r <number> +Rank of the adapter \(16\)/,
      /--schedule <text> .*linear, cosine, constant \(linear\)/,
      /--no-completion-only +Train on whole texts/,
      /--resume +Go on/,
    ]
  ) {
    assert.match(stdout, line);
  }
});

Deno.test("flags have their types and defaults; a switch that is on is turned off by --no-", () => {
  const table = {
    file: text("", "rows.json"),
    none: text(""),
    rank: whole("", 16),
    rate: number("", undefined),
    kind: choice("", ["a", "b"], "a"),
    mask: on("", true),
    more: on(""),
  };
  assert.deepEqual(readFlags("", table, []), {
    ...{ file: "rows.json", none: undefined, rank: 16, rate: undefined, kind: "a", mask: true, more: false },
  });
  const given = [
    "--file=a=b",
    "--none",
    "x",
    "--rank",
    "4",
    "--rate",
    "2e-4",
    "--kind",
    "b",
    "--no-mask",
    "--more",
  ];
  assert.deepEqual(readFlags("", table, given), {
    ...{ file: "a=b", none: "x", rank: 4, rate: 2e-4, kind: "b", mask: false, more: true },
  });
});

Deno.test("mistakes on the command line are one sentence and exit code 1", async () => {
  const cases: [string[], RegExp][] = [
    [["--modle", "x"], /^--modle is no flag; did you mean --model\?$/],
    [["--no-resum"], /^--no-resum is no flag; did you mean --no-resume\?$/],
    [["--xyzzy=3"], /^--xyzzy is no flag; see --help\.$/],
    [["-x"], /^-x is no flag; see --help\.$/],
    [["--resume=maybe"], /^--resume=maybe: --resume takes no value\.$/],
    [["rows.json"], /^rows\.json belongs to no flag; see --help\.$/],
    [["--r", "0"], /^--r is "0"; it is a whole number from 1 on\.$/],
    [["--learning-rate", "fast"], /^--learning-rate is "fast"; it is a number from 0 on\.$/],
    [["--warmup", "100"], /^--warmup is "100"; it is a number from 0 to 1\.$/],
    [
      ["--scores", "rouge,blue"],
      /^--scores is "rouge,blue"; it is made of rouge, bleu, chrf, exact, json, loss, separated by commas\.$/,
    ],
    [["--schedule", "step"], /^--schedule is "step"; it is one of linear, cosine, constant\.$/],
    [["--epochs", "1", "--epochs", "2"], /^--epochs is given 2 times; once is enough\.$/],
    [["--out"], /^--out has no value\.$/],
    [["--model", "m"], /^Name both --model <folder> and --data <file>; --help shows all flags\.$/],
    [
      ["--model", "m", "--data", "d", "--held-out", "0", "--early-stopping", "2"],
      /^--early-stopping and --eval-steps need held-out rows: --held-out must not be 0\.$/,
    ],
    [["--model", "m", "--data", "no/such.json"], /^no\/such\.json is neither a file nor a folder here/],
  ];
  const outcomes = await Promise.all(cases.map(([args]) => finetune(args)));
  cases.forEach(([args, message], i) => {
    assert.match(outcomes[i].stderr.trim(), message, args.join(" "));
    assert.deepEqual([outcomes[i].code, outcomes[i].stdout], [1, ""], args.join(" "));
  });
});

Deno.test("an encoder-decoder: questions measured, trained, answered", async () => {
  const { folder, data } = await material(), out = join(folder, "out");
  const args = [
    "--model",
    join(root, "examples/sql/model"),
    "--full-precision",
    "--data",
    data,
    "--out",
    out,
  ];
  const short = [
    "--max-steps",
    "1",
    "--evaluate",
    "1",
    "--max-new-tokens",
    "2",
    "--effective-batch-size",
    "4",
  ];
  const { code, stdout, stderr } = await finetune([...args, ...short]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /27 rows, .* tokens; mean .*\n/);
  assert.match(stdout, /1 steps \(done\): training loss/);
  assert.equal((await Deno.stat(join(out, "adapter/adapter_model.safetensors"))).isFile, true);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a whole run: plan, training, scores, adapter, log and pictures; then it is not overwritten", async () => {
  const { folder, model, data } = await material(), out = join(folder, "out");
  const args = ["--model", model, "--data", data, "--out", out, "--epochs", "2", "--evaluate", "3"];
  args.push(
    "--scores",
    "rouge,bleu,loss",
    "--max-new-tokens",
    "6",
    "--effective-batch-size",
    "8",
    "--learning-rate",
    "2e-2",
    "--tensorboard",
  );

  const [dry, missing, system] = await Promise.all([
    finetune([...args, "--dry-run"]),
    finetune(["--model", join(folder, "none"), "--data", data]),
    finetune([...args, "--dry-run", "--prompt", "financeQA", "--system", "Be brief."]),
  ]);
  assert.match(system.stderr, /^--system is for conversations; the prompt here is financeQA, .*\.\n$/);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /^[^\n]*none[^\n]*\.\n$/);
  assert.equal(dry.code, 0, dry.stderr);
  assert.match(dry.stdout, /rows\.jsonl: 27 rows \(messages\); 3 held out/);
  assert.match(dry.stdout, /The first row, by the prompt chat:\n[^]*\[\+It is \d+ dollars\./);
  assert.match(dry.stdout, /\d+ tokens: \d+ trained, \d+ masked/);
  assert.match(dry.stdout, /\| +maxLength \|/);
  assert.match(
    dry.stdout,
    /8 steps of 8 x 1 rows: training about .* evaluation .* answers at most .* together about/,
  );
  await assert.rejects(Deno.stat(out), Deno.errors.NotFound);

  const { code, stdout, stderr } = await finetune(args);
  assert.equal(code, 0, stderr);
  const [, before, after] = /held-out loss: (\S+) .* before, (\S+) /.exec(stdout)!;
  assert.ok(Number(after) < Number(before) - 0.1, stdout);
  assert.match(stdout, /\| score +\| base +\|\n[^]*\| score +\| base +\| tuned +\| change +\|\n/);
  for (const score of ["ROUGE-Lsum", "BLEU", "loss of the answers", "loss on general text"]) {
    assert.match(stdout, new RegExp(`\\| ${score} +\\| `));
  }
  assert.match(stdout, /reference: It is \d+ dollars\.\n/);
  assert.match(stderr, /training 8\/8 · in .* tokens\/s/);
  const files = [
    "run.svg",
    "run.png",
    "run.json",
    "evaluation/scores.svg",
    "adapter/adapter_model.safetensors",
  ];
  const page = await Deno.readTextFile(join(out, "report.html"));
  for (const part of ["Scores", "Curves", "Samples", "Data", "Settings"]) {
    assert.match(page, new RegExp(`>${part}</h2>`));
  }
  for (const name of [...files, "checkpoint-8/adapter_model.safetensors"]) {
    assert.ok((await Deno.stat(join(out, name))).size > 500, name);
  }
  assert.equal([...Deno.readDirSync(join(out, "tensorboard"))].length, 1);
  const config = JSON.parse(await Deno.readTextFile(join(out, "adapter/adapter_config.json")));
  assert.deepEqual([config.r, config.lora_alpha, config.target_modules.length], [16, 32, 7]);
  const linesOf = async (name: string) =>
    (await Deno.readTextFile(join(out, "evaluation", name))).trim().split("\n");
  assert.equal((await linesOf("answers.jsonl")).length, 3);
  const tuned = await linesOf("tuned.jsonl");
  assert.equal(tuned.length, 1 + 3);

  const again = await finetune(args);
  assert.equal(again.code, 1);
  assert.match(
    again.stderr,
    /holds a run already: go on with it by --resume, or choose another folder by --out/,
  );
  // Killed while the last answer was written, and with another length of answers.
  await Deno.writeTextFile(
    join(out, "evaluation", "tuned.jsonl"),
    tuned.slice(0, 3).join("\n") + '\n{"row":',
  );
  const [resumed, longer] = await Promise.all([
    finetune([...args, "--resume"]),
    finetune([...args.map((arg) => arg === "6" ? "7" : arg), "--resume"]),
  ]);
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.deepEqual(await linesOf("tuned.jsonl"), tuned);
  assert.match(longer.stdout, /^--max-new-tokens: 6 when the run began, 7 now\n/);
  assert.match(
    longer.stderr,
    /base\.jsonl holds the answers of another evaluation: its maxNewTokens is 6, here it is 7;/,
  );
  await Deno.remove(folder, { recursive: true });
});

Deno.test("Ctrl-C saves and says how to go on; --resume ends with the weights of a run that never stopped", async () => {
  const { folder, model, data } = await material();
  const args = [
    "--model",
    model,
    "--data",
    data,
    "--max-steps",
    "16",
    "--evaluate",
    "0",
    "--r",
    "2",
    "--target-modules",
    "q_proj",
  ];
  args.push("--effective-batch-size", "4", "--held-out", "0");
  const pairs = ["--batch-size", "2"]; // which the resumed run remembers
  const broken = join(folder, "broken"), whole = join(folder, "whole");
  let sent = false;
  const stopped = await finetune([...args, ...pairs, "--out", broken], (stderr, child) => {
    if (!sent && /training \d+\/16/.test(stderr)) child.kill("SIGINT");
    sent ||= /training \d+\/16/.test(stderr);
  });
  assert.equal(stopped.code, 130, stopped.stderr);
  assert.match(stopped.stderr, /Stopped after step \d+, saved in .*checkpoint-\d+/);
  assert.match(stopped.stdout, /The same command with --resume goes on\.\n$/);

  const other = await finetune([...args, "--batch-size", "1", "--out", broken, "--resume"]);
  assert.match(
    other.stderr,
    /began with --batch-size 2 --effective-batch-size 4: give the same, or begin .*\.\n$/,
  );
  assert.deepEqual([other.code, other.stdout], [1, ""]);

  const [resumed, never] = await Promise.all([
    finetune([...args, "--save-steps", "7", "--out", broken, "--resume"]),
    finetune([...args, ...pairs, "--out", whole]),
  ]);
  assert.deepEqual([resumed.code, never.code], [0, 0], resumed.stderr + never.stderr);
  assert.match(resumed.stdout, /^--save-steps: not given when the run began, 7 now\n[^-]/);
  assert.match(resumed.stdout, /16 steps of 2 x 2 rows, \d+ of them done: [^]*16 steps \(done\)/);
  const adapter = (out: string) => Deno.readFile(join(out, "adapter/adapter_model.safetensors"));
  assert.deepEqual(await adapter(broken), await adapter(whole));
  const log = await readRunLog(join(broken, "log.jsonl"));
  const steps = log.filter(({ kind }) => kind === "step").map(({ step }) => step);
  assert.deepEqual(steps, Array.from({ length: 16 }, (_, i) => i + 1));
  assert.equal(log.filter(({ kind }) => kind === "resume").length, 1);
  await Deno.remove(folder, { recursive: true });
});
