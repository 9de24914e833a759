// Recipe: Qwen2.5-7B-Instruct as a risk analyst that thinks and then writes JSON, QLoRA r = 16 on all linear layers.
//
//   deno run -P=train examples/qwen2_risk_json.ts                 an embedded small Qwen2, two minutes, no network
//   ... --control                                                 answers shuffled among the rows: only the form is learnt
//   ... --model <folder> --data <file of instruction, input, output>
//   ... --full                                                    the recipe itself: Qwen2.5-7B-Instruct from the Hub (-P=hub),
//                                                                 100 rows of templates, as its repository makes them
//   deno run -P=teacher ... --teacher https://api.deepseek.com/v1 --teacher-model deepseek-chat --key DEEPSEEK_API_KEY
//        --budget 2 --price-in 0.27 --price-out 1.10              a teacher answers the notes instead; --judge lets it score
//
// The document: r = 16, alpha = 32, NF4, bf16. Its repository: 5 epochs, 4 x 4 rows a step, learning rate 2e-4, cosine,
// warm-up 0.1, 1,024 tokens, all linear layers (and LLaMA-Factory's default rank of 8, without quantisation).

// %% Settings
import { basename, join } from "@std/path";
import {
  adamW,
  attachLoRA,
  byJSON,
  chat,
  cosineSchedule,
  Dataset,
  type DistillOptions,
  estimateTime,
  evaluate,
  formatDuration,
  generalText,
  generate,
  jsonScores,
  loadDataset,
  loadModel,
  markdownTable,
  packBatches,
  plotRun,
  report,
  type Row,
  saveAdapter,
  show,
  showUserErrors,
  splitThinking,
  train,
  useAdapter,
  UserError,
} from "@fintune/fintune";
import { embeddedFolder, firstDocuments } from "./embedded.ts";
import { number, on, readFlags, text, whole } from "./flags.ts";
import { guess } from "./qwen2_risk/guess.ts";
import { riskRows, riskSchema, shuffleAnswers } from "./qwen2_risk/rows.ts";
import { judged, taughtRows } from "./qwen2_risk/teacher.ts";
import { templateRows } from "./qwen2_risk/templates.ts";
import { riskText } from "./qwen2_risk/text.ts";
import { saveBoth } from "./tune.ts";

showUserErrors();
const flags = readFlags("QLoRA of a small Qwen2 on risk notes in Chinese: qwen2_risk_json.ts [flags]", {
  "full": on(
    "The document's own recipe: Qwen2.5-7B-Instruct from the Hub, rows of templates where none are named",
  ),
  "model": text("Folder of a model, or its name on the Hub"),
  "data": text("Rows of instruction, input and output: a file, a folder, or a name on the Hub"),
  "teacher": text("Address of an OpenAI-compatible endpoint that writes the answers"),
  "teacher-model": text("The teacher's name there", "deepseek-chat"),
  "key": text("Environment variable with the teacher's key; none is sent without it"),
  "budget": number("What the teacher may cost, in the currency of the prices", undefined),
  "price-in": number("Price of a million tokens that are read", undefined),
  "price-out": number("Price of a million tokens that are written", undefined),
  "judge": on("The teacher also scores the reasoning of base and tuned model"),
  "rows": whole("Rows; default: the recipe's", undefined, 4),
  "test": whole("Rows that are held out; default: the recipe's", undefined),
  "learning-rate": number("Its peak; default: the recipe's", undefined),
  "max-steps": whole("Stop after so many steps", undefined),
  "control": on("Shuffle the answers among the rows: nothing but the form must be learnt"),
  "out": text("Folder for the adapter, the charts and the teacher's answers; default: out/qwen2_risk_json"),
});
const embedded = !flags.full && !flags.model;
const own = embedded && !flags.data; // notes of the example's own generator
if (!flags.full && !embedded && !flags.data) {
  throw new UserError("Name rows too: --data <file of instruction, input and output>; or --full.");
}
if (flags.judge && !flags.teacher) throw new UserError("--judge needs --teacher <address>: who is to score?");
const out = flags.out ?? join("out", flags.control ? "qwen2_risk_control" : "qwen2_risk_json");
await Deno.mkdir(out, { recursive: true });

/** The document's settings, its repository's where it has none. The small model gets more rows and a higher rate. */
const recipe = embedded
  ? {
    rows: 1060,
    test: 60,
    maxLength: 320,
    batchSize: 16,
    accumulation: 1,
    epochs: 3,
    learningRate: 3e-3,
    maxNewTokens: 160,
  }
  : {
    rows: 100,
    test: 10,
    maxLength: 1024,
    batchSize: 4,
    accumulation: 4,
    epochs: 5,
    learningRate: 2e-4,
    maxNewTokens: 512,
  };
const lora = {
  r: 16,
  alpha: 32,
  targetModules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
};

// %% Rows: notes of the generator, a file, or templates; with a teacher, its answers to them
const asking = (file: string): Pick<DistillOptions, "endpoint" | "out" | "budget" | "price"> => {
  const { "price-in": input, "price-out": output, budget } = flags;
  return {
    endpoint: { model: flags["teacher-model"], baseURL: flags.teacher, apiKeyEnv: flags.key },
    out: join(out, file),
    ...input !== undefined && output !== undefined && { price: { input, output } },
    ...budget !== undefined && { budget: { cost: budget } },
  };
};
const count = flags.rows ?? recipe.rows, testCount = flags.test ?? recipe.test;

async function splitRows(): Promise<{ train: Dataset<Row>; test: Dataset<Row> }> {
  if (own && !flags.teacher) {
    const { train, test } = riskRows({ train: count - testCount, test: testCount, seed: 42 });
    return {
      train: new Dataset<Row>(train, "the notes"),
      test: new Dataset<Row>(test, "the held-out notes"),
    };
  }
  const notes = own
    ? new Dataset<Row>(riskRows({ train: count, test: 1, seed: 42 }).train, "the notes")
    : flags.data
    ? (await loadDataset(flags.data)).take(count)
    : templateRows(count);
  const rows = flags.teacher ? await taughtRows(notes, asking("teacher.jsonl")) : notes;
  // The templates repeat: no note of the test may be one of training's.
  const { test } = rows.dedupe("input").split({ test: testCount, seed: 42 });
  const heldOut = new Set(test.map(({ input }) => input));
  return { train: rows.filter(({ input }) => !heldOut.has(input)), test };
}

const { train: trueRows, test } = await splitRows();
const trained = flags.control
  ? new Dataset<Row>(shuffleAnswers(trueRows.toArray() as { output: string }[], 7))
  : trueRows;
console.log(
  `${trained.length} rows to train on${
    flags.control ? ", their answers shuffled" : ""
  }; ${test.length} held out`,
);

// %% Model: NF4 with double quantisation while loading, and a LoRA adapter
const folder = flags.model ??
  (flags.full ? "Qwen/Qwen2.5-7B-Instruct" : embeddedFolder("qwen2_risk/model"));
const base = await loadModel(folder, { quantize: "nf4", doubleQuant: true });
console.log(`${folder} on ${base.device.name}, because ${base.device.reason}`);
const model = attachLoRA(base, lora);

// %% Batches: in the model's own chat form, trained on the answers
const prompt = chat(base.tokenizer);
const layout = { tokenizer: base.tokenizer, prompt, maxLength: recipe.maxLength, completionOnly: true };
const batches = packBatches(trained, { ...layout, batchSize: recipe.batchSize });
const heldOut = packBatches(test, { ...layout, batchSize: recipe.batchSize });
console.log(`${batches}`);
const stepsOfEpoch = Math.ceil(batches.length / recipe.accumulation);
const totalSteps = Math.min(flags["max-steps"] ?? Infinity, recipe.epochs * stepsOfEpoch);

// %% How long it will take here
const questions = test.map((row) => prompt.question(row)).toArray();
const evaluations = Math.ceil(totalSteps / stepsOfEpoch) + 1;
const time = await estimateTime(model, {
  batches,
  steps: totalSteps,
  gradientAccumulationSteps: recipe.accumulation,
  heldOut,
  evaluations,
  questions,
  maxNewTokens: recipe.maxNewTokens,
});
console.log(
  `about ${formatDuration(time.total)} here: ${totalSteps} steps ${formatDuration(time.training)}, ` +
    `validation ${formatDuration(time.evaluation)}, answers before and after at most ${
      formatDuration(time.answers)
    }`,
);

// %% Training, with the validation loss after every epoch; a run of the large model goes on where it was stopped
const log = join(out, "log.jsonl"), evaluationFolder = join(out, "evaluation");
const earlier = [
  join(evaluationFolder, "base.jsonl"),
  join(evaluationFolder, "tuned.jsonl"),
  ...embedded ? [log] : [],
];
for (const path of earlier) await Deno.remove(path).catch(() => {});
const settings = { model: basename(folder), ...recipe, ...lora, control: flags.control };
await new Dataset<Row>([settings]).save(join(out, "settings.json"), { overwrite: true });
const run = await train(model, batches, {
  optimizer: adamW(model, {
    learningRate: cosineSchedule(flags["learning-rate"] ?? recipe.learningRate, {
      warmup: Math.ceil(totalSteps / 10),
      total: totalSteps,
    }),
  }),
  epochs: recipe.epochs,
  maxSteps: totalSteps,
  gradientAccumulationSteps: recipe.accumulation,
  heldOut,
  log,
  ...embedded ? {} : { out, resume: "auto" },
});
if (run.stopped === "signal") Deno.exit(130);
const losses = run.evaluations.map(({ loss }) => loss.toFixed(3)).join(", ");
console.log(`${run.steps} steps: training ${run.loss.toFixed(3)}, validation ${losses}`);
await saveAdapter(model, join(out, "adapter"), { overwrite: true });

// %% Before and after on held-out notes: JSON parsed, valid by the schema, right; what is forgotten
const general = embedded ? firstDocuments(riskText(2), 4000) : generalText;
const fields = ["entity", "sentiment", "risk", ...own && !flags.teacher ? ["reasoning"] : []]; // prose has no one right wording
const evaluation = await evaluate(model, test, [byJSON({ schema: riskSchema, fields })], {
  prompt,
  maxNewTokens: recipe.maxNewTokens,
  general,
  out: evaluationFolder,
});

// %% Field by field, beside a model that always answers what is most frequent
const answers = (name: string) => evaluation.answers.map(({ predictions }) => predictions[name]);
const references = evaluation.answers.map(({ reference }) => reference);
const right = async (predictions: string[]) => (await jsonScores(predictions, references, { fields })).fields;
const constant = guess(trained.map(({ output }) => output), fields);
const [of, tuned, guessed] = await Promise.all([
  right(answers("base")),
  right(answers("tuned")),
  right(references.map(() => constant)),
]);
const table = fields.map((field) => ({
  field,
  base: of[field],
  "always the same": guessed[field],
  tuned: tuned[field],
}));
await show(`\n${markdownTable(table)}`);
const gain = table.reduce((sum, row) => sum + row.tuned - row["always the same"], 0) / table.length;
console.log(`right fields beyond always answering the same: ${(100 * gain).toFixed(1)} percent points`);

if (flags.judge) {
  const texts = { base: answers("base"), tuned: answers("tuned") };
  await show(markdownTable(await judged(questions, texts, asking("judge.jsonl"))));
}

// %% A case: before and after
const news = own ? test.at(0) : {
  input:
    "OpenAI announced a new model, demand for computing surged, and NVIDIA's stock jumped 8% before the market opened.",
};
const asked = prompt.question({ instruction: test.at(0).instruction, input: news.input });
console.log(`\n${news.input}`);
for (const name of ["base", "tuned"]) {
  const using = useAdapter(model, name === "base" ? undefined : model.active);
  const answer = splitThinking(await generate(using, asked, { maxNewTokens: recipe.maxNewTokens }));
  console.log(
    `  ${name.padEnd(6)}${answer.thinking && `thinking: ${answer.thinking}\n        `}${answer.text}`,
  );
}

// %% What stays beside the adapter: the curve, and all of it on one page
const title = embedded ? "the embedded Qwen2" : basename(folder);
const curve = await plotRun(log, { title: `Loss of ${title}`, subtitle: `${trained.length} rows` });
await saveBoth(curve, out, "loss");
console.log(`\nadapter, loss.svg, loss.png, evaluation: ${out}\nall of it to look at: ${await report(out)}`);

if (flags.control && gain > 0.1) {
  console.error(
    "The control's fields are right more often than by guessing: the gain above would prove nothing.",
  );
  Deno.exit(1);
}
