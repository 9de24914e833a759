// Recipe: FinGPT's sentiment (FPB, FiQA, TFNS) with LoRA in Mistral's form; FiQA's questions with QLoRA in Gemma's.
//
//   deno run -P=train examples/mistral_gemma_fingpt.ts                       an embedded Mistral and Gemma, two minutes, no network
//   ... --task sentiment --model <folder> --data fpb.jsonl,fiqa.jsonl        any model on any sets of labelled headlines
//   ... --task answers --model <folder> --data <questions and answers>
//   ... --full                                                               Mistral-7B and Gemma-2B, from the Hub (-P=hub)
//   ... --control                                                            answers shuffled among the rows: must gain nothing
//
// The document states no settings; those here are of the nearest published run (Mistral-7B-v0.1 on FinGPT's rows).

// %% Settings
import { basename, join } from "@std/path";
import {
  attachLoRA,
  byExactMatch,
  byLabels,
  byRouge,
  chat,
  classificationScores,
  confusionChart,
  cosineSchedule,
  Dataset,
  evaluate,
  evaluationChart,
  financeQA,
  findLabel,
  formatDuration,
  generalText,
  loadDataset,
  loadModel,
  lossChart,
  markdownTable,
  type Model,
  packBatches,
  type Prompt,
  quantizeNF4,
  type Row,
  saveAdapter,
  scoreLabels,
  show,
  showUserErrors,
  UserError,
} from "@fintune/fintune";
import { embeddedFolder } from "./embedded.ts";
import { sentiments } from "./fingpt/figures.ts";
import { headlineRows } from "./fingpt/headline_rows.ts";
import { loadSentiments, type SentimentRow, shuffleOutputs } from "./fingpt/rows.ts";
import { choice, number, on, readFlags, text, whole } from "./flags.ts";
import { fewTerms } from "./tiny/short_text.ts";
import { factQuestions } from "./tiny/questions.ts";
import { freshFolder, refuseGain, saveBoth, stepsOf, tune } from "./tune.ts";

showUserErrors();
const started = performance.now();
const flags = readFlags("Sentiment with Mistral, answers with Gemma: mistral_gemma_fingpt.ts [flags]", {
  "task": choice("What to train", ["both", "sentiment", "answers"], "both"),
  "full": on("The document's own models and sets, from the Hub where not named"),
  "model": text("Folder of a model, or its name on the Hub; with --task"),
  "data": text(
    "Rows of the task: a file, a folder, a name on the Hub; several sets of headlines with commas between",
  ),
  "rows": whole("Rows to train on, at most", undefined, 2),
  "test": whole("Rows that are held out", undefined),
  "learning-rate": number("Its peak; default: the recipe's", undefined),
  "max-steps": whole("Stop each training after so many steps", undefined),
  "control": on("Shuffle the answers among the rows: nothing must be gained"),
  "out": text("Folder for adapters, scores and charts; default: out/ and the recipe's name"),
});
const own = flags.full || flags.model !== undefined || flags.data !== undefined;
if (own && !flags.full && !(flags.model && flags.data)) {
  throw new UserError("Name both: --model <folder> and --data <rows>; or --full.");
}
if ((flags.model || flags.data) && flags.task === "both") {
  throw new UserError("--model and --data belong to one task: add --task sentiment or --task answers.");
}
const out = flags.out ?? join("out", flags.control ? "fingpt_control" : "mistral_gemma_fingpt");
const maxSteps = flags["max-steps"];
const seed = 42;

/** "[INST]{input}\n{instruction} [/INST]" and the label: plain text for every tokenizer. */
const mistralForm: Prompt = {
  name: "Mistral's form",
  question: ({ input, instruction }) => `[INST]${input}\n${instruction} [/INST]`,
  answer: ({ output }) => ` ${output}`,
};

/** Gemma's turns. A model without their tokens is asked by its own chat template, or as in financeQA. */
function gemmaForm({ tokenizer }: Model): Prompt {
  const marked = tokenizer!.encode("<end_of_turn>", { addSpecialTokens: false }).length === 1;
  if (!marked) return tokenizer!.chatTemplate ? chat(tokenizer) : financeQA;
  const asked = ({ instruction, input }: Row) => input ? `${instruction}\n\n${input}` : instruction;
  return {
    name: "Gemma's form",
    turnEnd: "<end_of_turn>",
    question: (row) => `<start_of_turn>user\n${asked(row)}<end_of_turn>\n<start_of_turn>model\n`,
    answer: ({ output }) => `${output}<end_of_turn>`,
  };
}

/** The first of `rows` to train on, shuffled where it is the control. */
function trained<T extends { output: string }>(rows: readonly T[]): Dataset<T> {
  return new Dataset(flags.control ? shuffleOutputs(rows, seed) : rows, "training rows");
}

/** Trains with the published settings, or those that suit a small model; keeps adapter and curve in `to`. */
async function tuned(
  model: Model,
  { train, test, prompt, to, short }: {
    train: Dataset<Row>;
    test: Dataset<Row>;
    prompt: Prompt;
    to: string;
    /** Epochs of the small model. */
    short: number;
  },
): Promise<void> {
  const { batchSize, accumulation, epochs, rate } = own
    ? { batchSize: 8, accumulation: 4, epochs: 4, rate: 1e-4 }
    : { batchSize: 16, accumulation: 1, epochs: short, rate: 4e-3 };
  const peak = flags["learning-rate"] ?? rate;
  const layout = { tokenizer: model.tokenizer, prompt, maxLength: 512, batchSize, completionOnly: true };
  const batches = packBatches(train, layout), heldOut = packBatches(test, layout);
  const total = stepsOf(batches, epochs, accumulation, maxSteps);
  console.log(`${batches}\n${total} steps; held out: ${test.length} rows`);
  const points = await tune(model, batches, {
    heldOut,
    epochs,
    maxSteps,
    evalSteps: Math.max(1, Math.ceil(total / 8)),
    gradientAccumulationSteps: accumulation,
    learningRate: cosineSchedule(peak, { warmup: Math.ceil(total / 20), total }),
    seed,
  });
  await saveAdapter(model, join(to, "adapter"), { overwrite: true });
  const curve = lossChart(points, {
    title: `Loss of ${basename(model.name)}`,
    subtitle: `${train.length} rows`,
  });
  await saveBoth(curve, to, "loss");
}

// %% Sentiment: rows of several sets, as many of each set held out
async function sentimentSets(): Promise<{ train: SentimentRow[]; test: SentimentRow[] }> {
  if (!own) return headlineRows({ train: flags.rows ?? 2400, test: flags.test ?? 300, seed });
  const sets = await loadSentiments(flags.data ?? "FinGPT/fingpt-sentiment-train");
  const each = Math.ceil((flags.test ?? 300) / sets.length);
  const parts = sets.map((set) => set.split({ test: each, seed }));
  const train = parts[0].train.concat(...parts.slice(1).map((part) => part.train)).shuffle(seed);
  return {
    train: train.take(flags.rows ?? train.length).toArray(),
    test: parts.flatMap((part) => part.test.toArray()),
  };
}

/** The labels of rows, by the likelihood of each: one for every row, also where a base would not answer at all. */
async function likeliest(model: Model, test: readonly SentimentRow[]): Promise<string[]> {
  const scored = await scoreLabels(model, test.map((row) => mistralForm.question(row)), sentiments);
  return scored.map(({ best }) => best);
}

async function sentiment(): Promise<void> {
  console.log("\n# Sentiment, LoRA, Mistral's form\n");
  const rows = await sentimentSets(), to = join(out, "sentiment");
  const train = trained(rows.train), test = new Dataset(rows.test, "held-out headlines");
  const name = own ? flags.model ?? "mistralai/Mistral-7B-v0.1" : embeddedFolder("fingpt/model/mistral");
  const base = await loadModel(name);
  console.log(`${base.name} on ${base.device.name}`);
  const model = attachLoRA(base, { r: 16, alpha: 32, dropout: 0.05, targetModules: "all-linear" });
  const before = await likeliest(base, rows.test);
  await tuned(model, { train, test, prompt: mistralForm, to, short: 3 });

  // Free answers first, then the likeliest label.
  const report = await evaluate(model, test, [byLabels(sentiments)], {
    prompt: mistralForm,
    maxNewTokens: 6,
    general: generalText,
    batchSize: 32,
    out: await freshFolder(to, "evaluation"),
  });
  const expected = rows.test.map(({ output }) => output);
  const free = report.answers.map(({ predictions }) => findLabel(predictions.tuned, sentiments));
  const found: Record<string, (string | undefined)[]> = {
    "base, likeliest label": before,
    "tuned, likeliest label": await likeliest(model, rows.test),
    "tuned, free answer": free,
  };
  await show(`\n${setTable(found, rows.test)}`);
  const { confusion } = classificationScores(free, expected, sentiments);
  await saveBoth(
    confusionChart(confusion, sentiments, { title: "Tuned: labels taken for which" }),
    to,
    "confusion",
  );
  await saveBoth(evaluationChart(report, { title: "Sentiment on held-out headlines" }), to, "scores");
  const { accuracy } = classificationScores(free, expected, sentiments), chance = 1 / sentiments.length;
  console.log(`adapter, scores and charts: ${to}`);
  if (flags.control && !own) refuseGain("accuracy above chance", accuracy - chance, 0.1);
}

/** Accuracy and macro F1, set by set. */
function setTable(found: Record<string, (string | undefined)[]>, test: readonly SentimentRow[]): string {
  const sets = [...new Set(test.map(({ source }) => source)), "all"];
  return markdownTable(
    Object.entries(found).map(([how, labels]) => ({
      labels: how,
      ...Object.fromEntries(sets.flatMap((set) => {
        const of = test.map((_, i) => i).filter((i) => set === "all" || test[i].source === set);
        const scores = classificationScores(
          of.map((i) => labels[i]),
          of.map((i) => test[i].output),
          sentiments,
        );
        return [[`${set} accuracy`, scores.accuracy.toFixed(3)], [`${set} F1`, scores.macroF1.toFixed(3)]];
      })),
    })),
  );
}

// %% Answers: questions for facts that no answer of training tells
async function questionRows(): Promise<{ train: Row[]; test: Row[] }> {
  if (!own) {
    return factQuestions({ train: flags.rows ?? 1250, test: flags.test ?? 90, seed, about: fewTerms });
  }
  const all = await loadDataset(flags.data ?? "FinGPT/fingpt-fiqa_qa");
  const { train, test } = all.dedupe(financeQA.question).split({ test: flags.test ?? 100, seed });
  return { train: train.take(flags.rows ?? train.length).toArray(), test: test.toArray() };
}

async function answers(): Promise<void> {
  console.log("\n# Answers, QLoRA, Gemma's form\n");
  const rows = await questionRows(), to = join(out, "answers");
  const test = new Dataset(rows.test, "held-out questions");
  const name = own ? flags.model ?? "google/gemma-2b" : embeddedFolder("fingpt/model/gemma");
  const base = await quantizeNF4(await loadModel(name), { doubleQuant: true });
  console.log(`${base.name} on ${base.device.name}`);
  const model = attachLoRA(base, { r: 16, alpha: 32, dropout: 0.05, targetModules: "all-linear" });
  const prompt = gemmaForm(model);
  await tuned(model, {
    train: trained(rows.train as (Row & { output: string })[]),
    test,
    prompt,
    to,
    short: 2,
  });

  // Base and tuned side by side.
  const end = prompt.turnEnd && model.tokenizer!.encode(prompt.turnEnd, { addSpecialTokens: false })[0];
  const report = await evaluate(model, test, [byRouge(), byExactMatch({ ignoreCase: true })], {
    prompt,
    maxNewTokens: own ? 128 : 56,
    ...end && { eosTokenIds: [...model.generation.eosTokenIds, end] },
    general: generalText,
    out: await freshFolder(to, "evaluation"),
  });
  for (const { question, reference, predictions } of report.answers.slice(0, 3)) {
    console.log(
      `\n${question}\n  base:      ${predictions.base}\n  tuned:     ${predictions.tuned}\n  reference: ${reference}`,
    );
  }
  await saveBoth(evaluationChart(report, { title: "Answers to held-out questions" }), to, "scores");
  console.log(`adapter, scores and charts: ${to}`);
  const rouge = report.measures.find(({ name }) => name === "ROUGE-L")!;
  if (flags.control && !own) refuseGain("ROUGE-L", rouge.changes.tuned.value, 0.1);
}

if (flags.task !== "answers") await sentiment();
if (flags.task !== "sentiment") await answers();
console.log(`\nall in ${formatDuration((performance.now() - started) / 1000)}`);
