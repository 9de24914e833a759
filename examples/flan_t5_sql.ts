// Recipe: FLAN-T5-large answers questions on finance, and writes SQL: LoRA on financial QA; on its own adapter text to SQL, and
// then the second SQL set on the same adapter.
//
//   deno run -P=train examples/flan_t5_sql.ts                              an embedded small T5, two minutes, no network
//   ... --full                                                             the recipe itself; model and rows from the Hub (-P=hub)
//   ... --model <folder> --sql sql_create_context.jsonl --max-steps 60     any T5, and those of the three sets that are named
//   ... --control                                                          answers shuffled among the rows: must gain nothing

// %% Settings
import { basename, join } from "@std/path";
import {
  adamW,
  attachLoRA,
  byExactMatch,
  byRouge,
  bySQL,
  continueTraining,
  cosineSchedule,
  Dataset,
  evaluate,
  evaluationChart,
  type EvaluationReport,
  formatBytes,
  formatDuration,
  loadDataset,
  loadModel,
  lossChart,
  type LossPoint,
  markdownTable,
  type Model,
  packBatches,
  processMemory,
  type Prompt,
  type Row,
  type RunOptions,
  saveAdapter,
  show,
  showUserErrors,
  train,
  useAdapter,
  UserError,
} from "@fintune/fintune";
import { embeddedFolder } from "./embedded.ts";
import { on, readFlags, text, whole } from "./flags.ts";
import { financial, textToSQL } from "./sql/prompts.ts";
import { queryKinds } from "./sql/queries.ts";
import { asLlama2, firstKinds, newsQuestions, shuffleField, sqlQuestions } from "./sql/rows.ts";
import { freshFolder, refuseGain, saveBoth, stepsOf } from "./tune.ts";

showUserErrors();
const started = performance.now();
const flags = readFlags("LoRA of a T5 on financial questions and on text to SQL: flan_t5_sql.ts [flags]", {
  "full": on("The document's own recipe: FLAN-T5-large and three data sets, from the Hub where not named"),
  "model": text("Folder of a T5, or its name on the Hub"),
  "data": text("Financial questions and answers: a file, a folder, or a name on the Hub"),
  "sql": text("Questions, CREATE TABLE contexts and queries, as in sql-create-context"),
  "sql2": text("The second set, as in Llama-2-SQL"),
  "rows": whole("Rows to take of each set; default: all", undefined, 2),
  "test": whole("Rows of each set that are held out; default: a tenth, at most 200", undefined),
  "max-steps": whole("Stop each training after so many steps", undefined),
  "control": on("Shuffle the answers among the rows: nothing must be gained"),
  "out": text("Folder for the adapters, scores and charts; default: out/ and the recipe's name"),
});
const hub = (name: string) => flags.full ? name : undefined;
const source = {
  model: flags.model ?? hub("google/flan-t5-large"),
  finance: flags.data ?? hub("gbharti/finance-alpaca"),
  first: flags.sql ?? hub("b-mc2/sql-create-context"),
  second: flags.sql2 ?? hub("ChrisHayduk/Llama-2-SQL-Dataset"),
};
const own = Object.values(source).some((name) => name !== undefined);
if (own && !(source.model && (source.finance ?? source.first))) {
  throw new UserError("Name a model (--model <folder>) and its rows (--data or --sql <file>); or --full.");
}
if (source.second && !source.first) {
  throw new UserError("--sql2 goes on with the adapter that the first set made: name that with --sql.");
}
const out = flags.out ?? join("out", flags.control ? "flan_t5_control" : "flan_t5_sql");
const seed = 2137;

/** The document's settings: 32 rows a step. The small model gets a larger rate, fewer rows and longer patience with one set. */
const recipe = own
  ? {
    batchSize: 4,
    accumulation: 8,
    finance: { rate: 1e-3, epochs: 1, maxNewTokens: 200, repetitionPenalty: 1.2 },
    first: { rate: 1e-3, epochs: 3, maxNewTokens: 200 },
    second: { rate: 3e-4, epochs: 2, maxNewTokens: 200 },
  }
  : {
    batchSize: 16,
    accumulation: 1,
    finance: { rate: 8e-3, epochs: 1, maxNewTokens: 20 },
    first: { rate: 8e-3, epochs: 2, maxNewTokens: 30 },
    second: { rate: 6e-3, epochs: 3, maxNewTokens: 42 },
  };
/** The document trains with bias "all"; a T5's layers have no biases. */
const adapters = {
  finance: { r: 32, alpha: 32, dropout: 0.1, targetModules: ["q", "v"] },
  sql: { r: 16, alpha: 32, dropout: 0.1, targetModules: ["q", "v", "o"] },
};

/** A row of Llama-2-SQL as one of sql-create-context: its input holds the whole prompt. */
function readLlama2({ input, output }: Row): Row {
  const parts = /### Instruction:\s*([^]*?)\s*### Input:\s*([^]*?)\s*### Response:/.exec(String(input));
  if (!parts) {
    throw new UserError("--sql2: a row's input lacks ### Instruction:, ### Input: or ### Response:.");
  }
  return { question: parts[1], context: parts[2], answer: String(output).trim() };
}

// %% Rows: of each set some are held out, here about tables of which no training row is
interface Rows {
  train: Dataset<Row>;
  test: Dataset<Row>;
}

async function realRows(
  name: string,
  answer: string,
  keep = (_: Row) => true,
  read = (row: Row) => row,
): Promise<Rows> {
  const all = (await loadDataset(name)).filter(keep).map(read).take(flags.rows ?? Infinity);
  const { train, test } = all.split({ test: Math.ceil(all.length / 10), seed });
  return { train: dealt(train, answer), test: test.take(flags.test ?? 200) };
}

function embeddedRows({ train, test }: { train: Row[]; test: Row[] }, answer: string): Rows {
  return { train: dealt(new Dataset(train), answer), test: new Dataset(test) };
}

const dealt = (rows: Dataset<Row>, answer: string): Dataset<Row> =>
  flags.control ? new Dataset(shuffleField(rows.toArray(), answer, seed), "shuffled") : rows;

const counts = (train: number, test: number, seed: number) => ({
  train: flags.rows ?? train,
  test: flags.test ?? test,
  seed,
});
type SetName = "finance" | "first" | "second";
type Sets = Partial<Record<SetName, Rows>>;

function embeddedSets(): Sets {
  const { train, test } = sqlQuestions(counts(1600, 96, 3));
  return {
    finance: embeddedRows(newsQuestions(counts(1600, 96, 1)), "output"),
    first: embeddedRows(sqlQuestions(counts(1600, 100, 2), firstKinds), "answer"),
    second: embeddedRows({ train: train.map(asLlama2).map(readLlama2), test }, "answer"),
  };
}

/** Rows with an input are dropped, as in the run that the document reports. */
async function realSets({ finance, first, second }: typeof source): Promise<Sets> {
  return {
    finance: finance ? await realRows(finance, "output", ({ input }) => !input) : undefined,
    first: first ? await realRows(first, "answer") : undefined,
    second: second ? await realRows(second, "answer", undefined, readLlama2) : undefined,
  };
}
const sets = own ? await realSets(source) : embeddedSets();

// %% Model
const folder = source.model ?? embeddedFolder("sql/model");
const base = await loadModel(folder);
console.log(`${folder} on ${base.device.name}, because ${base.device.reason}`);
if (!base.config.encoderDecoder) {
  throw new UserError(`${folder} is no encoder-decoder; for those, see examples/finetune.ts.`);
}

/** Trains a model's adapter on a set, or goes on with one that lies in a folder; keeps it in PEFT's format, draws the curve. */
async function trainOn(name: SetName, prompt: Prompt, from: Model | string): Promise<Model> {
  const { train: rows, test } = sets[name]!, { rate, epochs } = recipe[name], points: LossPoint[] = [];
  const layout = {
    tokenizer: base.tokenizer,
    decoderStartTokenId: base.config.encoderDecoder!.decoderStartTokenId,
    prompt,
    maxLength: 512,
    batchSize: recipe.batchSize,
    completionOnly: true,
  };
  const batches = packBatches(rows, layout), heldOut = packBatches(test, layout);
  const total = stepsOf(batches, epochs, recipe.accumulation, flags["max-steps"]);
  console.log(`\n${name}: ${batches}`);
  const learningRate = cosineSchedule(rate, { warmup: own ? 0 : Math.ceil(total / 20), total });
  const options: Omit<RunOptions, "optimizer"> = {
    heldOut,
    epochs,
    maxSteps: flags["max-steps"],
    evalSteps: Math.max(1, Math.ceil(total / 6)),
    gradientAccumulationSteps: recipe.accumulation,
    seed,
    onStep: ({ step, loss }) => points.push({ step, loss, series: "training" }),
    onEvaluate: ({ step, loss }) => points.push({ step, loss, series: "validation" }),
  };
  let model: Model;
  if (typeof from === "string") {
    ({ model } = await continueTraining(base, from, batches, { ...options, learningRate }));
  } else {
    model = from;
    await train(model, batches, { ...options, optimizer: adamW(model, { learningRate }) });
  }
  await saveAdapter(model, join(out, name), { overwrite: true });
  const chart = lossChart(points, {
    title: `Loss: ${name} set`,
    subtitle: `${total} steps, ${rows.length} rows`,
  });
  await saveBoth(chart, out, `loss_${name}`);
  return model;
}

const answering = (name: SetName, prompt: Prompt) => {
  const { rate: _rate, epochs: _epochs, ...generation } = recipe[name];
  return { ...generation, prompt };
};

// %% What is shown of an evaluation
function sideBySide({ answers, models }: EvaluationReport, count: number): void {
  for (const { question, reference, predictions } of answers.slice(0, count)) {
    const lines = models.map((name) => `  ${name}: ${predictions[name].slice(0, 200)}`);
    console.log(`\n${question.slice(-400)}\n${lines.join("\n")}\n  expected: ${reference}`);
  }
}

/** The share of right queries of each kind. */
async function byKind({ answers, models }: EvaluationReport, rows: Dataset<Row>): Promise<void> {
  const table = queryKinds.flatMap((kind) => {
    const of = answers.filter(({ index }) => rows.at(index).kind === kind);
    const mean = (model: string) =>
      of.reduce((sum, { values }) => sum + values["SQL execution"][model], 0) / of.length;
    return of.length === 0
      ? []
      : [{ kind, queries: of.length, ...Object.fromEntries(models.map((name) => [name, mean(name)])) }];
  });
  await show(`\nQueries that find what they should, by kind\n\n${markdownTable(table)}`);
}

/** Ends a control that learnt to answer after all. */
function refuse({ measures }: EvaluationReport): void {
  for (const { name, changes } of measures) {
    if (!["exact match", "SQL exact", "SQL execution"].includes(name)) continue;
    refuseGain(name, Math.max(...Object.values(changes).map(({ value }) => value)), 0.05);
  }
}

// %% Financial questions: scores of the base and with the adapter
if (sets.finance) {
  const model = await trainOn("finance", financial, attachLoRA(base, adapters.finance));
  const report = await evaluate(model, sets.finance.test, [byExactMatch(), byRouge({ useStemmer: true })], {
    ...answering("finance", financial),
    out: await freshFolder(out, "finance_scores"),
  });
  await saveBoth(evaluationChart(report, { title: "Financial questions" }), out, "finance");
  sideBySide(report, 2);
  if (flags.control) refuse(report);
}

// %% Text to SQL, then the second set on the same adapter; both sets are scored before, between and after
if (sets.first) {
  const first = await trainOn("first", textToSQL, attachLoRA(base, adapters.sql));
  const models: Record<string, Model> = { base: useAdapter(first, undefined), first };
  if (sets.second) models.second = await trainOn("second", textToSQL, join(out, "first"));
  for (const name of ["first", "second"] as const) {
    const rows = sets[name];
    if (!rows) continue;
    console.log(`\nThe ${name} set's ${rows.test.length} held-out questions`);
    const report = await evaluate(models, rows.test, [bySQL(), byRouge({ useStemmer: true })], {
      ...answering(name, textToSQL),
      out: await freshFolder(out, `${name}_scores`),
    });
    await saveBoth(evaluationChart(report, { title: `Text to SQL, ${name} set` }), out, name);
    sideBySide(report, 3);
    if (!own) await byKind(report, rows.test);
    if (flags.control) refuse(report);
  }
}

console.log(
  `\nall in ${formatDuration((performance.now() - started) / 1000)}, peak memory ${
    formatBytes(processMemory().peak)
  }; adapters, scores and charts of ${own ? basename(folder) : "the embedded T5"}: ${out}`,
);
