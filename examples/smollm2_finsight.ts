// Recipe: SmolLM2-1.7B-Instruct becomes FinSight: curation of forum threads, the table of statistics, QLoRA with r = 64 and
// a cosine with restarts, base against tuned, charts.
//
//   deno run -P=train examples/smollm2_finsight.ts                               an embedded small Llama, two minutes, no network
//   ... --full --data intro.jsonl,company.jsonl --reddit reddit.jsonl            the recipe itself; SmolLM2 from the Hub (-P=hub)
//   ... --model <folder> --data conversations.jsonl --max-steps 60               any model, any conversations
//   ... --control                                                                answers shuffled among the questions: must gain nothing
//
// --data: files of conversations with commas between, each a category of its own. From other material the library builds
// them: introductionConversations, companyConversations (10-K questions), definitionConversations, financeConversations.

// %% Settings
import { basename, join } from "@std/path";
import {
  attachLoRA,
  byBleu,
  byExactMatch,
  byRouge,
  chat,
  cosineWithRestartsSchedule,
  curate,
  Dataset,
  datasetStatistics,
  estimateTime,
  evaluate,
  evaluationChart,
  formatBytes,
  formatDuration,
  funnelChart,
  generalText,
  loadDataset,
  loadModel,
  lossChart,
  markdownTable,
  packBatches,
  processMemory,
  quantizeNF4,
  redditConversations,
  redditSteps,
  type Row,
  saveAdapter,
  show,
  showUserErrors,
  splitEach,
  statisticsTable,
  UserError,
} from "@fintune/fintune";
import {
  categories,
  drawConversations,
  shuffleAnswers,
  splitSubjects,
  systems,
} from "./finsight/conversations.ts";
import type { Fact } from "./finsight/introductions.ts";
import { drawThreads } from "./finsight/threads.ts";
import { number, on, readFlags, text, whole } from "./flags.ts";
import { embeddedFolder } from "./embedded.ts";
import { formAlone, freshFolder, refuseGain, saveBoth, stepsOf, tune } from "./tune.ts";

showUserErrors();
const started = performance.now();
const flags = readFlags("QLoRA of a small model on FinSight's conversations: smollm2_finsight.ts [flags]", {
  "full": on("The document's own recipe: SmolLM2-1.7B-Instruct, from the Hub where not named; needs --data"),
  "model": text("Folder of a model, or its name on the Hub"),
  "data": text("Conversations: files, or names on the Hub, with commas between"),
  "reddit": text("Posts to curate into one more category (winddude/reddit_finance_43_250k)"),
  "test": whole("Held-out conversations whose last answer is scored; default: the recipe's", undefined),
  "learning-rate": number("Its peak; default: the recipe's", undefined),
  "max-steps": whole("Stop after so many steps", undefined),
  "control": on("Shuffle the answers among the questions: nothing must be gained"),
  "out": text("Folder for the adapter, the scores and the charts; default: out/ and the recipe's name"),
});
const own = flags.full || flags.model !== undefined || flags.data !== undefined;
if (own && !(flags.data && (flags.full || flags.model))) {
  throw new UserError("Name both: --model <folder> (or --full) and --data <files of conversations>.");
}
const out = flags.out ?? join("out", flags.control ? "finsight_control" : "smollm2_finsight");
const seed = 42;

/** The document's settings, and what suits a small model: a larger rate, more rows a step, answers alone. */
const recipe = own
  ? {
    batchSize: 2,
    accumulation: 4,
    epochs: 2,
    rate: 2e-4,
    maxLength: 1024,
    completionOnly: false,
    test: 500,
  }
  : {
    batchSize: 16,
    accumulation: 1,
    epochs: 2,
    rate: 6e-3,
    maxLength: 320,
    completionOnly: true,
    test: 100,
  };
const lora = {
  r: 64,
  alpha: 16,
  dropout: 0.05,
  targetModules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
};
/** As the repository evaluated; greedy for the small model. */
const answering = own
  ? { maxNewTokens: 128, temperature: 0.5, topP: 0.9, repetitionPenalty: 1.5, noRepeatNgramSize: 5, seed }
  : { maxNewTokens: 56 };

// %% Curation: what a forum says becomes conversations, and each step tells what it took out
const posts = flags.reddit
  ? await loadDataset(flags.reddit)
  : new Dataset<Row>(own ? [] : drawThreads(1200, seed), "forum threads");
const curated = posts.length > 0 ? curate(posts, redditSteps()) : undefined;
if (curated) {
  await show(`${curated}\n`);
  await saveBoth(funnelChart(curated.stages, { title: "Curation of the threads" }), out, "funnel");
}

// %% Conversations: five categories; held out are other people, facts, firms and numbers than training sees
interface Split {
  train: Dataset<Row>;
  test: Dataset<Row>;
}
const all: Dataset<Row>[] = [];

function talks(threads: Dataset<Row>): Dataset<Row> {
  if (own) return redditConversations(threads, { seed });
  const starters = [{
    user: "Who are you?",
    assistant: "My name is FinSight, and I explain money matters in plain words.",
  }];
  return redditConversations(threads, { seed, turns: [1, 1], starters, systemPrompts: systems });
}

function embeddedRows(): Split {
  const subjects = splitSubjects(seed);
  const told = new Map(subjects.train.map(({ term, told }) => [term.name, told]));
  const heldOut = ({ term, fact }: Row) =>
    !["risk", fact].every((each) => told.get(term)?.includes(each as Fact));
  const part = (which: "train" | "test", count: number) =>
    categories.map((type, i) => {
      return type === "reddit"
        ? talks(curated!.rows.filter((row) => heldOut(row) === (which === "test")))
        : new Dataset<Row>(
          drawConversations(type, {
            count,
            seed: 10 * i + (which === "test" ? 1 : 2),
            subjects: subjects[which],
          }),
          type,
        );
    });
  const train = part("train", 170), test = part("test", 60);
  all.push(...train.map((rows, i) => new Dataset(rows.concat(test[i]), `${categories[i]}`)));
  const together = (parts: Dataset<Row>[]) => parts[0].concat(...parts.slice(1)).shuffle(seed);
  const each = Math.ceil((flags.test ?? recipe.test) / test.length);
  return { train: together(train), test: together(test.map((rows) => rows.take(each))) };
}

async function realRows(): Promise<Split> {
  for (const name of flags.data!.split(",")) {
    all.push(new Dataset((await loadDataset(name)).toArray(), basename(name).replace(/\..*/, "")));
  }
  if (curated) all.push(new Dataset(talks(curated.rows).toArray(), "reddit"));
  const named = all.map((rows) =>
    new Dataset(rows.toArray().map((row) => ({ ...row, category: rows.name })))
  );
  const { train, test } = splitEach<Row>(named, { test: 0.25, seed });
  return { train, test: test.take(flags.test ?? recipe.test) };
}

const { train: trueRows, test } = own ? await realRows() : embeddedRows();
const train = flags.control
  ? new Dataset<Row>(shuffleAnswers(trueRows.toArray(), seed), "shuffled")
  : trueRows;
const categoryOf = (row: Row): string => row.category ?? row.metadata.type;

// %% Model and statistics: tokens as the document counted them, and as they are trained on
const folder = flags.model ??
  (flags.full ? "HuggingFaceTB/SmolLM2-1.7B-Instruct" : embeddedFolder("finsight/model"));
const base = await quantizeNF4(await loadModel(folder), { doubleQuant: true });
console.log(`${folder} on ${base.device.name}, because ${base.device.reason}`);
const { tokenizer } = base;
if (!tokenizer) throw new UserError(`${folder} has no tokenizer, which conversations need.`);
await show(
  `\n${statisticsTable(await Promise.all(all.map((rows) => datasetStatistics(rows, { tokenizer }))))}\n`,
);
const model = attachLoRA(base, lora);

// %% Batches, and how long they will take here
const prompt = chat(tokenizer);
const { maxLength, batchSize, completionOnly, epochs, accumulation } = recipe;
const layout = { tokenizer, prompt, maxLength, batchSize, completionOnly };
const batches = packBatches(train, layout), heldOut = packBatches(test, layout);
const total = stepsOf(batches, epochs, accumulation, flags["max-steps"]);
const evalSteps = own ? Math.min(600, Math.ceil(total / 4)) : Math.max(1, Math.ceil(total / 8));
/** What is scored: the last answer. The repository asked with a fixed system prompt and the last question alone. */
const asked = own ? test.map(lastExchange) : test;
const time = await estimateTime(model, {
  batches,
  steps: total,
  gradientAccumulationSteps: accumulation,
  heldOut,
  evaluations: Math.ceil(total / evalSteps),
  questions: asked.map((row) => prompt.question(row)).toArray(),
  maxNewTokens: answering.maxNewTokens,
});
console.log(
  `${batches}\nabout ${formatDuration(time.total)} here: ${total} steps of ${
    formatDuration(time.step)
  }, ${asked.length} answers before and after`,
);

// %% Training
const points = await tune(model, batches, {
  heldOut,
  epochs,
  maxSteps: flags["max-steps"],
  evalSteps,
  gradientAccumulationSteps: accumulation,
  learningRate: cosineWithRestartsSchedule(flags["learning-rate"] ?? recipe.rate, {
    warmup: Math.ceil(0.15 * total),
    total,
    cycles: 3,
  }),
  weightDecay: 0.05,
  maxGradNorm: own ? 0.2 : 1,
  ...own && { earlyStoppingPatience: 3, earlyStoppingThreshold: 0.05 },
  seed,
});
await saveAdapter(model, join(out, "adapter"), { overwrite: true });

// %% Base against tuned: ROUGE with stemmer, NLTK's BLEU, and what the model forgot elsewhere
const report = await evaluate(model, asked, [
  byRouge({ useStemmer: true }),
  byBleu(),
  byExactMatch({ ignoreCase: true }),
], {
  ...answering,
  prompt,
  general: generalText,
  out: await freshFolder(out, "evaluation"),
});
const kinds = [...new Set(asked.toArray().map(categoryOf))].sort();
await show(`\nROUGE-L by category\n\n${
  markdownTable(kinds.map((category) => {
    const rows = report.answers.filter(({ index }) => categoryOf(asked.at(index)) === category);
    const mean = (name: string) =>
      rows.reduce((sum, row) => sum + row.values["ROUGE-L"][name], 0) / rows.length;
    return { category, answers: rows.length, base: mean("base"), tuned: mean("tuned") };
  }))
}`);
const tuned = report.measures.find(({ name }) => name === "ROUGE-L")!.values.tuned.value;
const form = formAlone(
  report.answers.map(({ reference, predictions }) => ({ reference, prediction: predictions.tuned })),
);
console.log(`the tuned answers, held against other questions' references: ROUGE-L ${form.toFixed(4)}`);
for (const { question, reference, predictions } of report.answers.slice(0, 4)) {
  console.log(
    `\n${question.slice(-400)}\n  base:      ${predictions.base.slice(0, 300)}\n  tuned:     ${
      predictions.tuned.slice(0, 300)
    }\n  reference: ${reference.slice(0, 300)}`,
  );
}

// %% Charts
const title = own ? basename(folder) : "The embedded Llama";
await saveBoth(
  lossChart(points, { title: `${title}: loss`, subtitle: `${train.length} conversations, ${total} steps` }),
  out,
  "loss",
);
await saveBoth(evaluationChart(report, { title: `${title} before and after` }), out, "scores");
console.log(
  `\nall in ${formatDuration((performance.now() - started) / 1000)}, peak memory ${
    formatBytes(processMemory().peak)
  }; ` +
    `adapter, scores and charts: ${out}`,
);
if (flags.control && !own) {
  refuseGain("ROUGE-L beyond form alone", tuned - form, 0.1);
}

/** The last question and its answer, behind the document's kind of system prompt. */
function lastExchange(row: Row): Row {
  const last = row.messages.findLastIndex(({ role }: { role: string }) => role === "assistant");
  const system = { role: "system", content: "You are FinSight, an AI financial advisor." };
  return { ...row, messages: [system, ...row.messages.slice(last - 1, last + 1)] };
}
