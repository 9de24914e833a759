// Recipe: TinyLlama-1.1B-Chat on gbharti/finance-alpaca, QLoRA r = 16 on q, k, v, o.
//
//   deno run -P=train examples/tinyllama_finance_alpaca.ts                 an embedded small Llama, two minutes, no network
//   ... --full --model <TinyLlama folder> --data <finance-alpaca file>     the recipe itself; from the Hub where not named (-P=hub)
//   ... --model <folder> --data <file> --max-steps 60                      any model, any questions and answers
//   ... --control                                                          answers shuffled among the rows: must gain nothing
//   ... --sweep                                                            the document's experiments: rates, ranks, LoRA and QLoRA
//
// It says how long it will take before it starts. A run of hours that goes on after a crash: examples/finetune.ts.

// %% Settings
import { basename, join } from "@std/path";
import {
  adamW,
  attachLoRA,
  Dataset,
  estimateTime,
  evaluateLoss,
  financeQA,
  formatBytes,
  formatDuration,
  generate,
  linearSchedule,
  loadDataset,
  loadModel,
  loadTokenizer,
  lossChart,
  type LossPoint,
  markdownTable,
  packBatches,
  processMemory,
  quantizeNF4,
  removeAdapter,
  residentBytes,
  rougeScore,
  type Row,
  saveAdapter,
  scoreChart,
  show,
  showUserErrors,
  sweep,
  train as trainRun,
  trainEpoch,
  useAdapter,
  UserError,
} from "@fintune/fintune";
import { embeddedFolder } from "./embedded.ts";
import { on, readFlags, text, whole } from "./flags.ts";
import { financeQuestions, questionKinds, type QuestionRow, shuffleAnswers } from "./tiny/questions.ts";
import { saveBoth } from "./tune.ts";

showUserErrors();
const flags = readFlags("QLoRA of a small Llama on finance questions: tinyllama_finance_alpaca.ts [flags]", {
  "full": on("The document's own recipe: TinyLlama-1.1B and finance-alpaca, from the Hub where not named"),
  "model": text("Folder of a model, or its name on the Hub"),
  "data": text("Questions and answers: a file, a folder, or a name on the Hub"),
  "rows": whole("Rows to take, after de-duplication; default: the recipe's", undefined, 2),
  "test": whole("Rows of them that are held out; default: the recipe's", undefined),
  "max-steps": whole("Stop after so many steps", undefined),
  "control": on("Shuffle the answers among the rows: nothing must be gained"),
  "sweep": on(
    "The document's experiments in place of one run: learning rates, ranks, LoRA against QLoRA; goes on where it was cut off",
  ),
  "out": text("Folder for the adapter and the charts; default: out/ and the recipe's name"),
});
const source = {
  model: flags.model ?? (flags.full ? "TinyLlama/TinyLlama-1.1B-Chat-v1.0" : undefined),
  data: flags.data ?? (flags.full ? "gbharti/finance-alpaca" : undefined),
};
const embedded = !source.model && !source.data;
if (!embedded && !(source.model && source.data)) {
  throw new UserError("Name both: --model <folder> and --data <file of questions and answers>; or --full.");
}
const suffix = flags.sweep ? "sweep" : flags.control ? "control" : "finance_alpaca";
const out = flags.out ?? join("out", `tinyllama_${suffix}`);
const maxSteps = flags["max-steps"] ?? Infinity;

/** The document's settings. The small model gets more and shorter rows, once, and trains on the answers alone. */
const recipe = embedded
  ? {
    rows: 2700,
    test: 90,
    maxLength: 160,
    batchSize: 8,
    epochs: 1,
    warmup: 80,
    learningRate: 3e-3,
    maxNewTokens: 80,
    completionOnly: true,
  }
  : {
    rows: 1000,
    test: 100,
    maxLength: 512,
    batchSize: 8,
    epochs: 3,
    warmup: 100,
    learningRate: 2e-4,
    maxNewTokens: 200,
    completionOnly: false,
  };
const lora = { r: 16, alpha: 32, dropout: 0.05, targetModules: ["q_proj", "k_proj", "v_proj", "o_proj"] };
/** Greedy for the small model; the document draws at temperature 0.7 and top-p 0.9. */
const sampling = embedded ? {} : { temperature: 0.7, topP: 0.9, seed: 42 };

// %% Rows: de-duplicated, without short answers, split with seed 42
async function realRows(name: string): Promise<{ train: Dataset<Row>; test: Dataset<Row> }> {
  const rows = (await loadDataset(name)).dedupe(financeQA.question).filter((row) =>
    financeQA.answer(row).trim().length >= 20
  );
  return rows.take(flags.rows ?? recipe.rows).split({ test: flags.test ?? recipe.test, seed: 42 });
}

function embeddedRows(): { train: Dataset<Row>; test: Dataset<Row> } {
  const { train, test } = financeQuestions({
    train: flags.rows ?? recipe.rows,
    test: flags.test ?? recipe.test,
    seed: 42,
  });
  return { train: new Dataset<Row>(train), test: new Dataset<Row>(test) };
}

const { train: trueRows, test } = embedded ? embeddedRows() : await realRows(source.data!);
if (flags.control && trueRows.toArray().some(({ output }) => typeof output !== "string")) {
  throw new UserError("--control shuffles the answers in the field output, which some of these rows lack.");
}
const train = flags.control
  ? new Dataset<Row>(shuffleAnswers(trueRows.toArray() as QuestionRow[], 7))
  : trueRows;
console.log(
  `${train.length} rows to train on${
    flags.control ? ", their answers shuffled" : ""
  }; ${test.length} held out`,
);

const folder = source.model ?? embeddedFolder("tiny/model");

// %% The document's experiments (--sweep): three learning rates at rank 16, three ranks at 2e-4, QLoRA against LoRA
async function experiments(): Promise<void> {
  const tokenizer = await loadTokenizer(folder);
  // The small model learns at 15 times the document's rates, from as many rows as take half a minute.
  const { maxLength, batchSize, epochs, warmup, learningRate: usual, maxNewTokens, completionOnly } = recipe;
  const rows = train.take(flags.rows ?? (embedded ? 480 : Infinity)),
    questions = test.take(embedded ? 30 : 50);
  const layout = { tokenizer, prompt: financeQA, maxLength, batchSize, completionOnly };
  const batches = packBatches(rows, layout), heldOut = packBatches(questions, layout);
  const total = Math.min(maxSteps, epochs * batches.length);
  const references = questions.map((row) => financeQA.answer(row).trim()).toArray();
  const { table, complete } = await sweep({
    models: {
      QLoRA: async () => await quantizeNF4(await loadModel(folder), { doubleQuant: true }),
      LoRA: () => loadModel(folder),
    },
    runs: [
      ...[5e-5, 2e-4, 3e-4].map((rate) => ({ model: "QLoRA", r: 16, learningRate: rate / 2e-4 * usual })),
      ...[8, 16, 32].map((r) => ({ model: "QLoRA", r, learningRate: usual })),
      { model: "LoRA", r: 16, learningRate: usual },
    ],
    common: { base: basename(folder), rows: rows.length, steps: total, control: flags.control },
    out,
    title: `Learning rates, ranks, QLoRA and LoRA: ${embedded ? "the embedded Llama" : basename(folder)}`,
    async run(base, { r, learningRate: peak }, { folder: place, signal }): Promise<Record<string, number>> {
      const model = attachLoRA(base, { ...lora, r, alpha: 2 * r, quiet: true });
      const learningRate = linearSchedule(peak, { warmup: Math.min(warmup, total / 5), total });
      const optimizer = adamW(model, { learningRate });
      try {
        const { loss } = await trainRun(model, batches, {
          ...{ optimizer, maxSteps: total, out: place, resume: "auto", signal, saveTotalLimit: 1 },
        });
        if (signal.aborted) return {};
        const answers = await generate(model, questions.map((row) => financeQA.question(row)), {
          maxNewTokens,
          ...sampling,
        });
        return {
          "training loss": loss,
          "validation loss": await evaluateLoss(model, heldOut),
          "ROUGE-L": rougeScore(answers, references).rougeL.fmeasure,
        };
      } finally {
        optimizer.free();
        removeAdapter(model, "default");
      }
    },
  });
  await show(`\n${table}\n\nresults.jsonl, table.md, chart.svg, chart.png: ${out}`);
  if (!complete) console.log("The same command goes on with the runs that are left.");
}
if (flags.sweep) {
  await experiments();
  Deno.exit(0);
}

// %% Model: NF4 with double quantisation, and a LoRA adapter
const base = await loadModel(folder);
console.log(`${folder} on ${base.device.name}, because ${base.device.reason}`);
const dense = residentBytes(base);
const model = attachLoRA(await quantizeNF4(base, { doubleQuant: true }), lora);
console.log(
  `weights in memory: ${formatBytes(dense)} before, ${
    formatBytes(residentBytes(model))
  } in NF4 with the adapter`,
);

// %% Batches: 8 rows a step as in the document, packed so that hardly a position is padding
const { maxLength, batchSize, epochs, warmup, learningRate, completionOnly } = recipe;
const layout = { tokenizer: base.tokenizer, prompt: financeQA, maxLength, batchSize, completionOnly };
const batches = packBatches(train, layout), heldOut = packBatches(test, layout);
console.log(`${batches}`);
const totalSteps = Math.min(maxSteps, epochs * batches.length);

// %% How long it will take here, validation and answers included
const questions = test.map((row) => financeQA.question(row)).toArray();
const every = Math.max(1, Math.ceil(totalSteps / 9));
const time = await estimateTime(model, {
  batches,
  steps: totalSteps,
  heldOut,
  evaluations: Math.ceil(totalSteps / every) + 1,
  questions,
  maxNewTokens: recipe.maxNewTokens,
});
console.log(
  `about ${formatDuration(time.total)} here: ${totalSteps} steps ${formatDuration(time.training)} (${
    formatDuration(time.step)
  } each), ` +
    `validation ${formatDuration(time.evaluation)}, answers before and after at most ${
      formatDuration(time.answers)
    }`,
);

// %% Before: what the base answers
const references = test.map((row) => financeQA.answer(row).trim()).toArray();
const answer = (tuned: boolean) => {
  const using = useAdapter(model, tuned ? model.active : undefined);
  return generate(using, questions, { maxNewTokens: recipe.maxNewTokens, ...sampling });
};
const before = await answer(false);

// %% Training, with the validation loss several times an epoch
const points: LossPoint[] = [{ step: 0, loss: await evaluateLoss(model, heldOut), series: "validation" }];
const optimizer = adamW(model, {
  learningRate: linearSchedule(learningRate, { warmup: Math.min(warmup, totalSteps / 5), total: totalSteps }),
});
const started = performance.now();
let trainedTokens = 0;
for (let epoch = 1; optimizer.steps < totalSteps; epoch++) {
  const ordered = [...batches.shuffle(epoch)];
  for (let from = 0; from < ordered.length && optimizer.steps < totalSteps; from += every) {
    const part = ordered.slice(from, Math.min(from + every, from + totalSteps - optimizer.steps));
    const { loss, tokens, tokensPerSecond } = await trainEpoch(model, part, {
      optimizer,
      seed: epoch,
      onStep: ({ step, loss }) => points.push({ step, loss, series: "training" }),
    });
    trainedTokens += tokens;
    const validation = await evaluateLoss(model, heldOut);
    points.push({ step: optimizer.steps, loss: validation, series: "validation" });
    const left = (performance.now() - started) / 1000 / optimizer.steps * (totalSteps - optimizer.steps);
    console.log(
      `step ${optimizer.steps}/${totalSteps}, epoch ${epoch}: training ${loss.toFixed(3)}, validation ${
        validation.toFixed(3)
      }, ` +
        `${Math.round(tokensPerSecond)} tokens/s, ${formatDuration(left)} left`,
    );
  }
}

// %% The adapter in PEFT's format, before anything else can go wrong
await saveAdapter(model, join(out, "adapter"), { overwrite: true });

// %% After: scores, and the same questions again
const after = await answer(true);
const scores = { base: rougeScore(before, references), tuned: rougeScore(after, references) };
const shown = (["rouge1", "rouge2", "rougeL", "rougeLsum"] as const).map((name) => ({
  score: name,
  base: scores.base[name].fmeasure,
  tuned: scores.tuned[name].fmeasure,
  change: scores.tuned[name].fmeasure - scores.base[name].fmeasure,
}));
await show(`\n${markdownTable(shown)}`);

const gain = scores.tuned.rougeL.fmeasure - scores.base.rougeL.fmeasure;
if (flags.control && gain > 0.1) {
  console.error(
    `The control gained ${
      gain.toFixed(3)
    } ROUGE-L from shuffled answers: the gain above would prove nothing.`,
  );
  Deno.exit(1);
}

if (embedded) {
  const asked = questionKinds.filter((kind) => test.toArray().some((row) => row.kind === kind));
  const kinds = asked.map((kind) => {
    const of = (answers: string[]) => {
      const rows = test.toArray().map((row, i) => ({ row, answer: answers[i] })).filter(({ row }) =>
        row.kind === kind
      );
      return rougeScore(rows.map(({ answer }) => answer), rows.map(({ row }) => row.output)).rougeL.fmeasure;
    };
    return {
      kind,
      questions: test.filter((row) => row.kind === kind).length,
      base: of(before),
      tuned: of(after),
    };
  });
  console.log(
    `\nROUGE-L by kind of question: what so small a model can learn, and what it cannot\n${
      markdownTable(kinds)
    }`,
  );
}

for (let i = 0; i < Math.min(3, questions.length); i++) {
  console.log(`\n${questions[i]}`);
  console.log(
    `  base:      ${before[i].trim().slice(0, 300)}\n  tuned:     ${after[i].trim().slice(0, 300)}`,
  );
  console.log(`  reference: ${references[i].slice(0, 300)}`);
}

// %% What stays beside the adapter: the curve and the scores
const name = embedded ? "the embedded Llama" : basename(folder);
const curve = lossChart(points, {
  title: `Loss of ${name}`,
  subtitle: `${optimizer.steps} steps, ${train.length} rows`,
});
const bars = scoreChart(scores, {
  title: "ROUGE on held-out questions",
  subtitle: `${test.length} questions`,
});
await saveBoth(curve, out, "loss");
await saveBoth(bars, out, "rouge");
console.log(
  `\n${trainedTokens} tokens in ${formatDuration((performance.now() - started) / 1000)}, peak memory ${
    formatBytes(processMemory().peak)
  }\nadapter, loss.svg, loss.png, rouge.svg, rouge.png: ${out}`,
);
