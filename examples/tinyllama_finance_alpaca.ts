// Recipe: TinyLlama-1.1B-Chat on gbharti/finance-alpaca, QLoRA r = 16 on q, k, v, o.
//
//   deno run -P=train examples/tinyllama_finance_alpaca.ts                 an embedded small Llama, two minutes, no network
//   ... --full --model <TinyLlama folder> --data <finance-alpaca file>     the recipe itself
//   ... --model <folder> --data <file> --max-steps 60                      any Llama, any rows with instruction and output
//   ... --control                                                          answers shuffled among the rows: must gain nothing

// %% Settings
import { parseArgs } from "@std/cli";
import { basename, fromFileUrl, join } from "@std/path";
import {
  adamW,
  attachLoRA,
  Dataset,
  evaluateLoss,
  financeQA,
  formatBytes,
  formatDuration,
  generate,
  gradients,
  linearSchedule,
  loadDataset,
  loadModel,
  lossChart,
  type LossPoint,
  markdownTable,
  packBatches,
  processMemory,
  quantizeNF4,
  residentBytes,
  rougeScore,
  type Row,
  saveAdapter,
  saveChart,
  scoreChart,
  showUserErrors,
  trainEpoch,
  useAdapter,
} from "@fintune/fintune";
import { financeQuestions, questionKinds, type QuestionRow, shuffleAnswers } from "./tiny/questions.ts";

showUserErrors();
const flags = parseArgs(Deno.args, {
  string: ["model", "data", "out", "max-steps", "rows", "test"],
  boolean: ["full", "control"],
});
const embedded = !flags.model && !flags.data && !flags.full;
if (!embedded && !(flags.model && flags.data)) {
  console.error("Name both: --model <folder of a Llama> and --data <file with instruction and output>.");
  Deno.exit(2);
}
const out: string = flags.out ??
  join("out", flags.control ? "tinyllama_control" : "tinyllama_finance_alpaca");
const maxSteps = flags["max-steps"] ? Number(flags["max-steps"]) : Infinity;

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
async function realRows(file: string): Promise<{ train: Dataset<Row>; test: Dataset<Row> }> {
  const rows = (await loadDataset(file)).dedupe("instruction").filter((row) =>
    financeQA.answer(row).trim().length >= 20
  );
  return rows.take(flags.rows ? Number(flags.rows) : recipe.rows).split({
    test: Number(flags.test ?? recipe.test),
    seed: 42,
  });
}

function embeddedRows(): { train: Dataset<Row>; test: Dataset<Row> } {
  const { train, test } = financeQuestions({ train: recipe.rows, test: recipe.test, seed: 42 });
  return { train: new Dataset<Row>(train), test: new Dataset<Row>(test) };
}

const { train: trueRows, test } = embedded ? embeddedRows() : await realRows(flags.data!);
const train = flags.control
  ? new Dataset<Row>(shuffleAnswers(trueRows.toArray() as QuestionRow[], 7))
  : trueRows;
console.log(
  `${train.length} rows to train on${
    flags.control ? ", their answers shuffled" : ""
  }; ${test.length} held out`,
);

// %% Model: NF4 with double quantisation, and a LoRA adapter
const folder = flags.model ?? fromFileUrl(new URL("./tiny/model", import.meta.url));
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

// %% How long it will take here: one batch, forward and backward, twice (the first also compiles)
const [first] = batches;
await gradients(model, first);
const trial = performance.now();
await gradients(model, first);
const perStep = (performance.now() - trial) / 1000;
console.log(
  `a step takes about ${formatDuration(perStep)} here, ${totalSteps} steps about ${
    formatDuration(perStep * totalSteps)
  }`,
);

// %% Before: what the base answers
const questions = test.map((row) => financeQA.question(row));
const references = test.map((row) => row.output);
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
const every = Math.max(1, Math.ceil(totalSteps / 9));
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
console.log(`\n${markdownTable(shown)}`);

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
  const kinds = questionKinds.map((kind) => {
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

for (const [i, row] of test.take(3).toArray().entries()) {
  console.log(`\nQuestion: ${row.instruction} ${row.input ?? ""}`);
  console.log(
    `  base:      ${before[i].trim().slice(0, 300)}\n  tuned:     ${after[i].trim().slice(0, 300)}`,
  );
  console.log(`  reference: ${String(row.output).slice(0, 300)}`);
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
for (const type of ["svg", "png"]) {
  await saveChart(curve, join(out, `loss.${type}`));
  await saveChart(bars, join(out, `rouge.${type}`));
}
console.log(
  `\n${trainedTokens} tokens in ${formatDuration((performance.now() - started) / 1000)}, peak memory ${
    formatBytes(processMemory().peak)
  }\nadapter, loss.svg, loss.png, rouge.svg, rouge.png: ${out}`,
);
