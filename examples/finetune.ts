// Fine-tunes any model of the Llama, Mistral, Qwen, Gemma and T5 families on any rows.
//
//   deno run -P=train examples/finetune.ts --model <folder> --data <file>               LoRA on NF4 weights
//   ... --dry-run                                                                       shows the plan, trains nothing
//   ... --resume                                                                        goes on after Ctrl-C or a crash
//   deno run -P=train examples/finetune.ts --help                                       all flags
//
// Rows may be questions and answers, conversations, texts, texts with labels, in JSON, JSONL, CSV, Parquet, plain text; a file,
// a folder, or with -P=hub a name on the Hub. What is written goes into --out: checkpoints, log.jsonl, the
// adapter in PEFT's format, answers and scores before and after, pictures, and report.html with all of it.

// %% Settings
import { basename, join } from "@std/path";
import {
  adamW,
  alpaca,
  attachLoRA,
  type BatchChoice,
  byBleu,
  byChrf,
  byExactMatch,
  byJSON,
  byLabels,
  byLoss,
  byRouge,
  chat,
  chooseBatchSize,
  constantSchedule,
  cosineSchedule,
  Dataset,
  detectPrompt,
  estimateTime,
  evaluate,
  evaluateLoss,
  financeQA,
  forgetting,
  formatBytes,
  formatDuration,
  formatNumber,
  generalText,
  lengthReport,
  linearSchedule,
  loadConfig,
  loadDataset,
  loadModel,
  loadTokenizer,
  packBatches,
  perplexity,
  plotRun,
  previewRow,
  processMemory,
  report,
  residentBytes,
  type Row,
  saveAdapter,
  saveChart,
  showUserErrors,
  train,
  useAdapter,
  UserError,
} from "@fintune/fintune";
import { begunRun, exists, saveSettings } from "./begun.ts";
import { choice, number, on, readFlags, several, text, whole } from "./flags.ts";

showUserErrors();
const scores = {
  rouge: byRouge,
  bleu: byBleu,
  chrf: byChrf,
  exact: byExactMatch,
  json: byJSON,
  loss: byLoss,
};
const flags = readFlags("Fine-tunes a language model: finetune.ts --model <folder> --data <file> [flags]", {
  "model": text("Folder of a model, or its name on the Hub"),
  "data": text("Rows to train on: a file, a folder, a pattern, a URL, or a name on the Hub"),
  "split": text("Which split of a folder or of a data set on the Hub"),
  "rows": whole("Take the first so many rows; default: all", undefined),
  "held-out": number("Rows kept for evaluation: a share below 1, or a count; 0: none", 0.1),
  "held-out-data": text("A file of rows to evaluate on, in place of --held-out"),
  "prompt": choice("How rows become text", ["auto", "chat", "alpaca", "financeQA"], "auto"),
  "system": text("A system message for conversations that bring none"),
  "completion-only": on("Train on whole texts, not on the answers alone", true),
  "max-length": whole("Tokens of a row; what is longer is cut", 512, 2),
  "out": text("Folder for all that is written", join("out", "finetune")),
  "resume": on("Go on with the run in --out"),
  "full-precision": on("Keep the base's weights as they come, not in NF4"),
  "r": whole("Rank of the adapter", 16),
  "alpha": number("Its scale: the update counts alpha / r", 32),
  "dropout": number("On the adapter's input", 0.05),
  "target-modules": text("Layers with an adapter, separated by commas, or all-linear", "all-linear"),
  "learning-rate": number("Its peak", 2e-4),
  "schedule": choice("What follows the warm-up", ["linear", "cosine", "constant"], "linear"),
  "warmup": number("Share of the steps in which the rate rises", 0.04, 1),
  "weight-decay": number("Decay of the adapter's weights", 0),
  "max-grad-norm": number("Clip gradients to this norm; 0: never", 1),
  "epochs": whole("Passes over the rows; default: 3, or as many as --max-steps takes", undefined),
  "max-steps": whole("Stop after so many steps", undefined),
  "effective-batch-size": whole("Rows of one optimizer step", 16),
  "batch-size": whole("Rows that are computed at once; default: as many of them as memory holds", undefined),
  "eval-steps": whole("Evaluate every so many steps; default: once an epoch", undefined),
  "save-steps": whole("Checkpoint every so many steps; default: 500, or once an epoch", undefined),
  "save-total-limit": whole("Checkpoints that are kept besides the best", 2),
  "early-stopping": whole("End after so many evaluations without improvement; the best is kept", undefined),
  "evaluate": whole("Held-out rows that are answered before and after, and scored", 8, 0),
  "scores": several("Scores of the answers", Object.keys(scores) as (keyof typeof scores)[], [
    "rouge",
    "bleu",
  ]),
  "labels": text("The labels that answers name, separated by commas: accuracy and F1 besides"),
  "general": text(
    "Rows of general text, on which forgetting is measured; default: a short text of the library",
  ),
  "max-new-tokens": whole("Longest answer", 128),
  "temperature": number("Of the answers; 0: always the likeliest token", 0),
  "seed": whole("Of rows, adapter and dropout", 42, 0),
  "tensorboard": on("Write event files for TensorBoard into --out as well"),
  "dry-run": on("Show the plan and end; nothing is written"),
  "quiet": on("No progress lines"),
});
const { out, quiet, seed, model: name, data: source } = flags;
if (!name || !source) {
  throw new UserError("Name both --model <folder> and --data <file>; --help shows all flags.");
}
const log = join(out, "log.jsonl");
if (!flags.resume && !flags["dry-run"] && await exists(log)) {
  throw new UserError(
    `${out} holds a run already: go on with it by --resume, or choose another folder by --out.`,
  );
}
const held = flags["held-out-data"] ?? flags["held-out"];
if (held === 0 && (flags["early-stopping"] ?? flags["eval-steps"]) !== undefined) {
  throw new UserError("--early-stopping and --eval-steps need held-out rows: --held-out must not be 0.");
}

const begun = flags.resume ? await begunRun(out, flags) : undefined;
const stepsDone = begun?.stepsDone ?? 0;

// %% Rows
async function loadRows(): Promise<{ rows: Dataset<Row>; test?: Dataset<Row> }> {
  const all = await loadDataset(source!, { split: flags.split, quiet });
  const rows = flags.rows === undefined ? all : all.take(flags.rows);
  if (flags["held-out-data"]) return { rows, test: await loadDataset(flags["held-out-data"], { quiet }) };
  if (flags["held-out"] === 0) return { rows };
  // A tenth of many rows would take longer to evaluate than it tells.
  const share = flags["held-out"] < 1
    ? Math.min(500, Math.ceil(flags["held-out"] * rows.length))
    : flags["held-out"];
  const parts = rows.split({ test: share, seed });
  return { rows: parts.train, test: parts.test };
}
const { rows, test } = await loadRows();
console.log(`${rows}${test ? `; ${formatNumber(test.length)} held out` : ""}`);

// %% The prompt that fits the rows, their lengths, and what of the first row is trained
await loadConfig(name, { quiet }); // a model that is not there is told first
const tokenizer = await loadTokenizer(name, { quiet });
const prompts = {
  auto: () => detectPrompt(test ? rows.concat(test) : rows, tokenizer, { system: flags.system }),
  chat: () => chat(tokenizer, { system: flags.system }),
  alpaca: () => alpaca,
  financeQA: () => financeQA,
};
const prompt = prompts[flags.prompt]();
if (flags.system && !prompt.name.startsWith("chat")) {
  throw new UserError(
    `--system is for conversations; the prompt here is ${prompt.name}, which has no place for it.`,
  );
}
const layout = {
  tokenizer,
  prompt,
  maxLength: flags["max-length"],
  completionOnly: flags["completion-only"],
  cache: flags["dry-run"] ? false : join(out, "tokens"), // rows are tokenized once, also over runs
};
const alone = packBatches(rows, { ...layout, batchSize: 1 });
const lengths = Array.from(alone.examples, ({ inputIds }) => inputIds.length);
/** Of an encoder-decoder's rows the questions are measured, which its encoder reads. */
const statistics = tokenizer?.decoderStartTokenId === undefined
  ? lengthReport(rows, layout)
  : lengthReport(rows.map((row) => ({ inputIds: tokenizer.encode(prompt.question(row)) })));
console.log(`${statistics}\n`);
console.log(`The first row, by the prompt ${prompt.name}:`);
console.log(previewRow(rows.at(0), layout));

// %% Model and adapter
const nf4 = { quantize: "nf4", doubleQuant: true } as const;
const base = await loadModel(name, { quiet, ...(flags["full-precision"] ? {} : nf4) });
console.log(
  `${name} on ${base.device.name}, because ${base.device.reason}; ${
    formatBytes(residentBytes(base))
  } of weights`,
);
const modules = flags["target-modules"];
const model = attachLoRA(base, {
  r: flags.r,
  alpha: flags.alpha,
  dropout: flags.dropout,
  targetModules: modules === "all-linear" ? modules : modules.split(",").map((module) => module.trim()),
  seed,
});

// %% Batches: as many rows at once as memory holds
function chooseBatches(): BatchChoice {
  const effectiveBatchSize = flags["effective-batch-size"], batchSize = flags["batch-size"];
  if (batchSize === undefined) return chooseBatchSize(model, lengths, { effectiveBatchSize });
  return { batchSize, gradientAccumulationSteps: Math.max(1, Math.round(effectiveBatchSize / batchSize)) };
}
const { batchSize, gradientAccumulationSteps } = begun?.batches ?? chooseBatches();
const batches = packBatches(rows, { ...layout, batchSize });
const heldOut = test && packBatches(test, { ...layout, batchSize });
console.log(`${batches}`);

// %% The plan, and how long it takes here
const stepsInEpoch = Math.ceil(batches.length / gradientAccumulationSteps);
const epochs = flags.epochs ?? (flags["max-steps"] === undefined ? 3 : Infinity);
const steps = Math.min(flags["max-steps"] ?? Infinity, epochs * stepsInEpoch);
const stepsLeft = Math.max(0, steps - stepsDone);
const evalSteps = flags["eval-steps"] ?? stepsInEpoch;
const asked = test && prompt.question(test.at(0)) !== "" ? test.take(flags.evaluate) : new Dataset<Row>([]);
const questions = asked.map((row) => prompt.question(row)).toArray();
const time = await estimateTime(model, {
  batches,
  steps: stepsLeft,
  gradientAccumulationSteps,
  heldOut,
  evaluations: Math.ceil(stepsLeft / evalSteps) + 1,
  questions,
  maxNewTokens: flags["max-new-tokens"],
});
console.log(
  `${formatNumber(steps)} steps of ${batchSize} x ${gradientAccumulationSteps} rows` +
    `${stepsDone > 0 ? `, ${formatNumber(stepsDone)} of them done` : ""}: ` +
    `training about ${formatDuration(time.training)} (${formatDuration(time.step)} a step), evaluation ` +
    `${formatDuration(time.evaluation)}, answers at most ${formatDuration(time.answers)}; ` +
    `together about ${formatDuration(time.total)}; memory so far ${formatBytes(processMemory().rss)}`,
);
if (flags["dry-run"]) Deno.exit(0);
await saveSettings(out, flags, { batchSize, gradientAccumulationSteps });
const { tokens, mean, p50, p95, max, limits } = statistics;
const data = {
  rows: rows.length,
  "held-out rows": test?.length ?? 0,
  prompt: prompt.name,
  tokens,
  "tokens of a row, mean": mean,
  median: p50,
  "95 % have at most": p95,
  longest: max,
  "cut at": layout.maxLength,
  "What a maxLength keeps and wastes": limits,
};
await new Dataset([data]).save(join(out, "data.json"), { overwrite: true });

// %% Before: the base's loss and answers, which stay in --out
const general = flags.general
  ? (await loadDataset(flags.general, { quiet })).map((row) => String(row.text ?? "")).toArray()
  : generalText;
const evaluation = join(out, "evaluation");
const asking = {
  prompt,
  general,
  maxNewTokens: flags["max-new-tokens"],
  temperature: flags.temperature,
  seed,
  out: evaluation,
  quiet,
};
const chosen = flags.scores.map((score) => score === "loss" ? byLoss(layout) : scores[score]());
if (flags.labels) chosen.push(byLabels(flags.labels.split(",").map((label) => label.trim())));
const plain = useAdapter(model, undefined);
if (asked.length > 0) await evaluate({ base: plain }, asked, chosen, asking);
const lossBefore = heldOut && await evaluateLoss(plain, heldOut);
// What is trained on answers otherwise than it did.
if (stepsLeft > 0) await Deno.remove(join(evaluation, "tuned.jsonl")).catch(() => {});

// %% Training: Ctrl-C ends it after the step in hand, and --resume goes on from there
const schedules = { linear: linearSchedule, cosine: cosineSchedule, constant: constantSchedule };
const optimizer = adamW(model, {
  learningRate: schedules[flags.schedule](flags["learning-rate"], {
    warmup: Math.round(flags.warmup * steps),
    total: steps,
  }),
  weightDecay: flags["weight-decay"],
});
const run = await train(model, batches, {
  optimizer,
  epochs,
  maxSteps: flags["max-steps"],
  gradientAccumulationSteps,
  maxGradNorm: flags["max-grad-norm"],
  seed,
  heldOut,
  evalSteps,
  saveSteps: flags["save-steps"],
  saveTotalLimit: flags["save-total-limit"],
  earlyStoppingPatience: flags["early-stopping"],
  loadBestModelAtEnd: flags["early-stopping"] !== undefined,
  out,
  resume: flags.resume ? "auto" : false,
  tensorBoard: flags.tensorboard ? join(out, "tensorboard") : undefined,
  quiet,
});
if (run.stopped === "signal") {
  console.log("The same command with --resume goes on.");
  Deno.exit(130);
}

// %% The adapter in PEFT's format, before anything else can go wrong
await saveAdapter(model, join(out, "adapter"), { overwrite: true });

// %% After: loss, scores and answers
const rate = run.tokensPerSecond > 0 ? `, ${Math.round(run.tokensPerSecond)} tokens/s` : "";
console.log(`${run.steps} steps (${run.stopped}): training loss ${run.loss.toFixed(4)}${rate}`);
const last = flags["early-stopping"] ? run.best : run.evaluations.at(-1);
if (last && lossBefore !== undefined) {
  const shown = (loss: number) => `${loss.toFixed(4)} (perplexity ${formatNumber(perplexity(loss))})`;
  console.log(`held-out loss: ${shown(lossBefore)} before, ${shown(last.loss)} after\n`);
}
if (asked.length > 0) {
  const { answers } = await evaluate(model, asked, chosen, asking);
  for (const { question, predictions: { base, tuned }, reference } of answers.slice(0, 3)) {
    console.log(
      `\n${question.trim()}\n  base:      ${base}\n  tuned:     ${tuned}\n  reference: ${reference}`,
    );
  }
} else console.log(`${await forgetting(model, general, { out: evaluation, quiet })}`);

// %% Pictures of the run, and all of it on one page
const chart = await plotRun(log, {
  title: basename(name),
  subtitle: `${basename(source)}, ${formatNumber(rows.length)} rows`,
});
for (const ending of ["svg", "png", "json"]) await saveChart(chart, join(out, `run.${ending}`));
console.log(
  `\npeak memory ${
    formatBytes(processMemory().peak)
  }; adapter, checkpoints, log, answers, pictures: ${out}\n` +
    `all of it to look at: ${await report(out)}`,
);
