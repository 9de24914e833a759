// evaluate: intervals as numpy's on the same draws, answers saved and found again, batches that change nothing, bad input.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import {
  attachLoRA,
  bestAndWorst,
  bootstrap,
  byBleu,
  byChrf,
  byExactMatch,
  byJSON,
  byLabels,
  byLoss,
  byRouge,
  chrfScore,
  classificationScores,
  corpusBleu,
  evaluate,
  type Evaluated,
  evaluateLoss,
  evaluationCSV,
  evaluationTable,
  financeQA,
  forgetting,
  generalText,
  generate,
  initModel,
  type Interval,
  jsonScores,
  loadModel,
  loadTokenizer,
  meanMeasure,
  type Measure,
  type Model,
  openDevice,
  packBatches,
  parseConfig,
  readEvaluation,
  rougeScore,
  type Row,
  rowScore,
  type Score,
  useAdapter,
  UserError,
} from "../mod.ts";
import { forModel } from "../lib/models/load.ts";
import { readJson, referenceFolder } from "./references.ts";

interface Case {
  values: Interval[];
  change: Interval;
}

interface Cases {
  resamples: number;
  seed: number;
  means: (Case & { models: (number | null)[][]; scipyChange?: [number, number] })[];
  texts: { references: string[]; models: string[][]; BLEU: Case; chrF: Case };
  labels: {
    labels: string[];
    references: string[];
    models: string[][];
    "macro F1": Case;
    "weighted F1": Case;
  };
}

const cases = await readJson<Cases>("bootstrap", "cases.json");

function assertIntervals(measures: Measure[], expected: Case): void {
  const { values, changes } = bootstrap(measures, { resamples: cases.resamples, seed: cases.seed });
  const pairs = [[values[0], expected.values[0]], [values[1], expected.values[1]], [
    changes[0],
    expected.change,
  ]];
  for (const [ours, theirs] of pairs) {
    for (const end of ["value", "low", "high"] as const) {
      const difference = Math.abs(ours[end] - theirs[end]);
      assert.ok(difference < 1e-9, `${measures[0].name} ${end}: ${ours[end]}, expected ${theirs[end]}`);
    }
  }
}

/** What a score makes of answers, without a model. */
async function measured(score: Score, predictions: string[], references: string[]): Promise<Measure[]> {
  const answers = predictions.map((prediction, index) => ({
    ...{ row: {}, index, question: "?", prediction, reference: references[index] },
  }));
  return [...await score.measure(answers, { model: undefined as unknown as Model })];
}

const total = ({ counts, total }: Measure) =>
  total(counts[0].map((_, i) => counts.reduce((sum, row) => sum + row[i], 0)));

Deno.test("intervals of means and of their paired change are numpy's on the same draws, and near scipy's on its own", () => {
  for (const { models, scipyChange, ...expected } of cases.means) {
    const measures = models.map((values) => meanMeasure("mean", values.map((value) => value ?? undefined)));
    assertIntervals(measures, expected);
    if (!scipyChange) continue;
    const { changes: [{ low, high }] } = bootstrap(measures, { resamples: 20_000, seed: 3 });
    const width = scipyChange[1] - scipyChange[0];
    assert.ok(Math.abs(low - scipyChange[0]) < 0.03 * width, `${low} ${scipyChange[0]}`);
    assert.ok(Math.abs(high - scipyChange[1]) < 0.03 * width, `${high} ${scipyChange[1]}`);
  }
});

Deno.test("intervals of corpus scores are those of sacrebleu and scikit-learn computed anew on every draw", async () => {
  const { texts, labels } = cases;
  for (const score of [byBleu(), byChrf()]) {
    const measures = await Promise.all(
      texts.models.map((answers) => measured(score, answers, texts.references)),
    );
    assertIntervals(measures.flat(), texts[score.name as "BLEU" | "chrF"]);
  }
  const both = await Promise.all(
    labels.models.map((answers) => measured(byLabels(labels.labels), answers, labels.references)),
  );
  for (const name of ["macro F1", "weighted F1"] as const) {
    assertIntervals(both.map((measures) => measures.find((measure) => measure.name === name)!), labels[name]);
  }
});

Deno.test("totals are those of the scores in lib/metrics, also of parts of the rows", async () => {
  const { references, models: [predictions] } = cases.texts;
  const [rouge1, rouge2, rougeL, rougeLsum] = await measured(byRouge(), predictions, references);
  const means = rougeScore(predictions, references);
  const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-12, `${a} ${b}`);
  near(total(rouge1), means.rouge1.fmeasure);
  near(total(rouge2), means.rouge2.fmeasure);
  near(total(rougeL), means.rougeL.fmeasure);
  near(total(rougeLsum), means.rougeLsum.fmeasure);
  near(
    total((await measured(byBleu(), predictions, references))[0]),
    corpusBleu(predictions, references).score,
  );
  const plus = { wordOrder: 2 };
  near(
    total((await measured(byChrf(plus), predictions, references))[0]),
    chrfScore(predictions, references, plus),
  );
  const [bleu] = await measured(byBleu(), predictions, references);
  near(bleu.rows![3]!, corpusBleu([predictions[3]], [references[3]]).score);

  const { labels, references: expected, models: [found] } = cases.labels;
  const [accuracy, macro] = await measured(byLabels(labels), found, expected);
  const scores = classificationScores(found, expected, labels);
  near(total(accuracy), scores.accuracy);
  near(total(macro), scores.macroF1);

  const json = ['{"risk": "High", "causes": ["debt"]}', "no"],
    wanted = ['{"risk": "High", "causes": ["debt", "rates"]}', '{"risk": 1}'];
  const schema = { required: ["risk"] };
  const all = await measured(byJSON({ schema }), json, wanted),
    by = await jsonScores(json, wanted, { schema });
  assert.deepEqual(
    all.map((measure) => [measure.name, total(measure)]),
    [
      ["JSON parsed", by.parseRate],
      ["JSON valid", by.validRate],
      ["JSON exact", by.exact],
      ["right fields", by.fieldAccuracy],
      ["F1 of causes", by.lists.causes],
    ],
  );
  const [exact] = await measured(byExactMatch({ ignoreCase: true }), ["A loan", "a Fund"], [
    "a loan",
    "a fond",
  ]);
  assert.equal(total(exact), 0.5);
});

// The embedded Llama of the examples, with an adapter that changes its answers.
const folder = fromFileUrl(new URL("../examples/tiny/model", import.meta.url));
const device = await openDevice({ backend: "cpu" });
const base = await loadModel(folder, { device, quiet: true });

function adapted(seed: number): Model {
  const model = attachLoRA(base, { r: 4, alpha: 16, targetModules: ["q_proj", "v_proj"], seed, quiet: true });
  for (const [name, tensor] of model.adapters.get("default")!.parameters) {
    if (!name.includes("lora_B")) continue;
    const size = tensor.shape[0] * tensor.shape[1];
    device.update(tensor, Float32Array.from({ length: size }, (_, i) => 0.2 * Math.sin(seed + i)));
  }
  return model;
}

const model = adapted(1);

const rows: Row[] = [
  { instruction: "What is a bond?", output: "A loan that an investor makes to a company." },
  {
    instruction: "Name one reason why the price of a share may fall although the company earns more.",
    output: "Fear.",
  },
  { instruction: "What is 12 percent of 300?", output: "36" },
  { instruction: "What is a dividend?", output: "A part of the profit that is paid to shareholders." },
  { instruction: "Define inflation in one sentence.", output: "Prices rise." },
];
const settings = { prompt: financeQA, maxNewTokens: 12, quiet: true, batchSize: 2 };

Deno.test("base and tuned over one base, the answers of generate one by one; files for people and programs", async () => {
  const out = await Deno.makeTempDir();
  const report = await evaluate(model, rows, [byRouge(), byBleu(), byExactMatch()], { ...settings, out });
  assert.deepEqual(report.models, ["base", "tuned"]);
  const questions = rows.map((row) => financeQA.question(row)), references = rows.map((row) => row.output);
  for (const [name, one] of [["base", useAdapter(model, undefined)], ["tuned", model]] as const) {
    const alone: string[] = [];
    for (const question of questions) {
      alone.push((await generate(one, question, { maxNewTokens: 12 })).trim());
    }
    assert.deepEqual(report.answers.map(({ predictions }) => predictions[name]), alone);
    const rougeL = report.measures.find((measure) => measure.name === "ROUGE-L")!;
    assert.ok(Math.abs(rougeL.values[name].value - rougeScore(alone, references).rougeL.fmeasure) < 1e-12);
  }
  assert.notDeepEqual(report.answers[0].predictions.base, report.answers[0].predictions.tuned);
  const table = String(report);
  assert.match(table, /^\| score +\| base +\| tuned +\| change +\|\n/);
  assert.match(table, /\| BLEU +\| \d+\.\d\d \[\d+\.\d\d, \d+\.\d\d\] +\|/);
  assert.match(table, /\| [+-]\d\.\d{4} \[[+-]\d\.\d{4}, [+-]\d\.\d{4}\] +\|/);
  const text = await Deno.readTextFile(join(out, "scores.md"));
  assert.ok(text.startsWith(table + "\n\n## Best rows by ROUGE-1, tuned against base\n\nRow "));
  assert.match(text, /\| question +\| expected +\| base +\| tuned +\|/);
  assert.equal(await Deno.readTextFile(join(out, "scores.csv")), evaluationCSV(report));
  assert.match(
    evaluationCSV(report),
    /^score,base,base low,base high,tuned,tuned low,tuned high,change,change low,change high\nROUGE-1,/,
  );
  assert.match(await Deno.readTextFile(join(out, "scores.svg")), />ROUGE-Lsum</);
  assert.deepEqual(await readEvaluation(out), JSON.parse(JSON.stringify(report)));
  await Deno.remove(out, { recursive: true });
});

/** A model that counts the prompts it is asked, told by its tokenizer. */
function counted(model: Model): { model: Model; asked(): number } {
  let decoded = 0;
  const tokenizer = {
    ...model.tokenizer!,
    decode: (...args: Parameters<NonNullable<Model["tokenizer"]>["decode"]>) => {
      decoded++;
      return model.tokenizer!.decode(...args);
    },
  };
  return { model: { ...model, tokenizer }, asked: () => decoded };
}

Deno.test("an evaluation that was killed goes on: whole lines stay, only what is missing is generated", async () => {
  const out = await Deno.makeTempDir();
  const drawn = { ...settings, temperature: 1, seed: 5 }; // each row draws its own numbers, in whatever batch
  const whole = await evaluate(model, rows, [byRouge()], drawn);
  const first = await evaluate(model, rows, [byRouge()], { ...drawn, out });
  assert.deepEqual(first.answers, whole.answers);
  assert.deepEqual(first.measures, whole.measures);

  const path = join(out, "tuned.jsonl"), lines = (await Deno.readTextFile(path)).split("\n");
  assert.equal(lines.length, 7); // fingerprint, five answers, the last line's end
  await Deno.writeTextFile(path, lines.slice(0, 4).join("\n") + "\n" + lines[4].slice(0, 15));
  const { model: again, asked } = counted(model);
  const resumed = await evaluate(again, rows, [byRouge()], { ...drawn, out, batchSize: 8 });
  assert.equal(asked(), 2);
  assert.deepEqual(resumed.answers, first.answers);
  assert.deepEqual(resumed.measures, first.measures);

  const { model: third, asked: none } = counted(model);
  await evaluate(third, rows, [byBleu(), byExactMatch()], { ...drawn, out });
  assert.equal(none(), 0);
  await Deno.remove(out, { recursive: true });
});

Deno.test("an aborted evaluation keeps whole batches, and no answer that was cut short", async () => {
  const out = await Deno.makeTempDir(), stop = new AbortController();
  const score = rowScore("any", () => 1);
  let batches = 0;
  const stopping: Model = {
    ...model,
    tokenizer: {
      ...model.tokenizer!,
      decode: (...args) => {
        if (++batches === 3) stop.abort(); // the first row of the second batch
        return model.tokenizer!.decode(...args);
      },
    },
  };
  await assert.rejects(evaluate(stopping, rows, [score], { ...settings, out, signal: stop.signal }), {
    name: "AbortError",
  });
  assert.equal((await Deno.readTextFile(join(out, "base.jsonl"))).trim().split("\n").length, 1 + 2);
  await assert.rejects(evaluate(model, rows, [score], { ...settings, signal: AbortSignal.abort() }), {
    name: "AbortError",
  });
  await Deno.remove(out, { recursive: true });
});

Deno.test("other models, rows or settings than the saved answers' are refused in one sentence, damaged files too", async () => {
  const out = await Deno.makeTempDir(), scores = [byExactMatch()];
  await evaluate(model, rows, scores, { ...settings, out });
  const refused = (
    message: RegExp,
    changed: Partial<Parameters<typeof evaluate>[3]> = {},
    other = model,
    list = rows,
  ) =>
    assert.rejects(evaluate(other, list, scores, { ...settings, out, ...changed }), (error: Error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, message);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  await refused(
    /base\.jsonl holds the answers of another evaluation: its maxNewTokens is 12, here it is 13; give/,
    { maxNewTokens: 13 },
  );
  await refused(/its seed is 0, here it is 1;/, { seed: 1 });
  await refused(
    /tuned\.jsonl holds .* its adapter is [0-9a-f]{16}, here it is [0-9a-f]{16};/,
    {},
    adapted(2),
  );
  await refused(/its number of questions is 5, here it is 4;/, {}, model, rows.slice(1));
  await refused(/its hash of the questions is/, {}, model, [...rows.slice(1), rows[0]]);
  await refused(/its model configuration is/, {}, {
    ...model,
    config: { ...model.config, rmsNormEps: 1e-3 },
  });
  const weights = new Map(model.weights),
    [last] = [...weights].findLast(([name]) => name.endsWith("o_proj.weight"))!;
  weights.set(last, weights.get(last.replace("o_proj", "q_proj"))!);
  await refused(/its base model \(hash of its last layer\) is/, {}, { ...model, weights });

  const path = join(out, "base.jsonl"), text = await Deno.readTextFile(path);
  for (
    const [damaged, message] of [
      [
        text.replace('"row":', '"raw":'),
        /base\.jsonl, line 2 is no answer of evaluate, the file is damaged: take/,
      ],
      [text.replace(/"row":\d/, '"row":99'), /line 2 is no answer/],
      [text.replace(/"row":\d/, '"row":1.5'), /line 2 is no answer/],
      [text + text.split("\n")[1] + "\n", /line 7 is no answer/],
      [text.replace("\n", "\n\n"), /line 2 is no answer/],
      [
        "question,answer\n1,2\n",
        /base\.jsonl holds no answers of evaluate: remove it, or choose another folder\.$/,
      ],
      ["\0\0\0", /holds no answers of evaluate/],
      ['{"fingerprint":3}\n', /line 1 is no answer/],
    ] as const
  ) {
    await Deno.writeTextFile(path, damaged);
    await refused(message);
    assert.equal(await Deno.readTextFile(path), damaged); // nothing is mended silently
  }
  await Deno.writeTextFile(path, text.slice(0, 30)); // killed while the first line was written
  await evaluate(model, rows, scores, { ...settings, out });
  await Deno.remove(out, { recursive: true });
});

Deno.test("bad input is one sentence, told before anything is generated", async () => {
  const { model: asking, asked } = counted(model);
  const refused = (message: RegExp, run: () => Promise<unknown>) =>
    assert.rejects(
      run(),
      (error: Error) =>
        error instanceof UserError && message.test(error.message) || assert.fail(error.message),
    );
  const run = (list: Row[], scores: Score[], more = {}) => () =>
    evaluate(asking, list, scores, { ...settings, ...more });
  await refused(/^evaluate: the dataset has no rows, there is nothing to answer\.$/, run([], [byRouge()]));
  await refused(/^evaluate needs at least one score, such as byRouge\(\)\.$/, run(rows, []));
  await refused(/^evaluate, row 1: .*no field|^evaluate, row 1: /, run([rows[0], { other: 1 }], [byRouge()]));
  await refused(
    /^evaluate, row 0: the prompt text has no question for it\.$/,
    run([{ text: "x" }], [byRouge()], { prompt: undefined }),
  );
  await refused(
    /^Row 2: the expected answer "36" names none of up, fear, prices, a\.$/,
    run(rows, [byLabels(["up", "fear", "prices", "a"])]),
  );
  await refused(/^byLabels needs at least two labels/, () => Promise.resolve().then(() => byLabels(["one"])));
  await refused(/^Reference 1 is no JSON/, run(rows, [byJSON()]));
  await refused(/^evaluate needs a model/, () => evaluate(undefined as unknown as Model, rows, [byRouge()]));
  await refused(/await/, () => evaluate(Promise.resolve(base) as unknown as Model, rows, [byRouge()]));
  await refused(/"a\/b" cannot name a model/, () => evaluate({ "a/b": base }, rows, [byRouge()], settings));
  await refused(/^evaluate needs at least one model/, () => evaluate({}, rows, [byRouge()], settings));
  await refused(/^evaluate needs rows.*await/, run(Promise.resolve(rows) as never, [byRouge()]));
  await refused(/^evaluate: row 0 is null, not an object/, run([null as never], [byRouge()]));
  await refused(/^evaluate: scores\[1\] is no score: call/, run(rows, [byRouge(), byLabels as never]));
  await refused(/at least one score/, run(rows, byRouge() as never));
  await refused(
    /"constructor" cannot name a model/,
    () => evaluate({ constructor: base } as never, rows, [byRouge()]),
  );
  await refused(/^forgetting needs at least one text/, run(rows, [byRouge()], { general: [] }));
  await refused(/^confidence is 95;/, run(rows, [byRouge()], { confidence: 95 }));
  const file = await Deno.makeTempFile();
  await refused(/ is a file where a folder is expected/, run(rows, [byRouge()], { out: file }));
  await Deno.remove(file);
  assert.equal(asked(), 0);

  const short = { ...settings, maxNewTokens: 1 };
  const scored = (...scores: Score[]) => () => evaluate(base, rows, scores, short);
  const nan = rowScore("length share", ({ index }) => index === 3 ? NaN : 1);
  await refused(/^The score "length share" is NaN for row 3: every row needs a finite number/, scored(nan));
  await refused(
    /^The score "none" is NaN over all 5 rows: no row has a number/,
    scored(rowScore("none", () => undefined)),
  );
  await refused(/^Two scores give a "ROUGE-1"/, scored(byRouge(), byRouge()));
  await refused(
    /gave numbers for 1 rows of 5/,
    scored({ name: "one", measure: () => [meanMeasure("one", [1])] }),
  );
  await refused(/^resamples is 0;/, () => evaluate(base, rows, [byRouge()], { ...short, resamples: 0 }));
  await refused(/^General text 1 is empty/, () => forgetting(base, ["one text", " "], { quiet: true }));
  await refused(/^forgetting needs at least one text/, () => forgetting(base, [], { quiet: true }));
});

Deno.test("forgetting is the loss on general texts before and after, paired", async () => {
  const texts = generalText.slice(0, 3);
  const report = await forgetting(model, texts, { quiet: true, maxLength: 64 });
  const layout = { tokenizer: base.tokenizer, maxLength: 64, batchSize: 3 };
  const batches = packBatches(texts.map((text) => ({ text })), layout);
  const [before, after] = [
    await evaluateLoss(useAdapter(model, undefined), batches),
    await evaluateLoss(model, batches),
  ];
  assert.ok(Math.abs(report.values.base.value - before) < 1e-5, `${report.values.base.value} ${before}`);
  assert.ok(Math.abs(report.values.tuned.value - after) < 1e-5);
  assert.ok(Math.abs(report.changes.tuned.value - (after - before)) < 2e-5);
  const { low, high } = report.changes.tuned;
  assert.ok(low < high && low <= after - before && after - before <= high);
  assert.match(String(report), /\| loss on general text \| /);

  const general = { ...settings, maxNewTokens: 1, general: texts };
  const { measures } = await evaluate(model, rows, [byExactMatch()], general);
  assert.deepEqual(measures.map(({ name }) => name), ["exact match", "loss on general text"]);
  assert.equal(measures[1].lowerIsBetter, true);
});

Deno.test("the loss of the answers is evaluateLoss's on the same rows, those beyond maxLength left out", async () => {
  const score = byLoss({ prompt: financeQA, maxLength: 48 });
  const { measures: [{ values, lowerIsBetter }], answers } = await evaluate(model, rows, [score], {
    ...settings,
    maxNewTokens: 1,
  });
  const layout = { tokenizer: base.tokenizer, prompt: financeQA, completionOnly: true, maxLength: 48 };
  for (const [name, one] of [["base", useAdapter(model, undefined)], ["tuned", model]] as const) {
    const loss = await evaluateLoss(one, packBatches(rows, layout));
    assert.ok(Math.abs(values[name].value - loss) < 1e-5, `${values[name].value} ${loss}`);
    const second = await evaluateLoss(one, packBatches([rows[2]], layout));
    assert.ok(Math.abs(answers[2].values["loss of the answers"][name] - second) < 1e-5);
  }
  assert.equal(lowerIsBetter, true);
  const longest = base.tokenizer!.encode(financeQA.question(rows[1])).length;
  const short = byLoss({ prompt: financeQA, maxLength: longest });
  const cut = await evaluate({ base }, rows, [short], { ...settings, maxNewTokens: 1 });
  assert.deepEqual(cut.answers.map(({ values }) => "loss of the answers" in values), [
    true,
    false,
    true,
    true,
    true,
  ]);
});

Deno.test("an encoder-decoder is evaluated through the same generate; it forgets the second halves of texts", async () => {
  const config = parseConfig({
    ...{
      model_type: "t5",
      vocab_size: 512,
      d_model: 32,
      d_kv: 8,
      d_ff: 64,
      num_layers: 2,
      num_heads: 4,
      eos_token_id: 2,
    },
    ...{
      pad_token_id: 0,
      decoder_start_token_id: 0,
      feed_forward_proj: "gated-gelu",
      tie_word_embeddings: false,
    },
  });
  const tokenizer = forModel((await loadTokenizer(referenceFolder("tiny_tokenizer")))!, config);
  const plain: Model = { ...await initModel(config, { device, seed: 4 }), tokenizer };
  const tuned = attachLoRA(plain, { r: 2, quiet: true });
  const asked = { ...settings, maxNewTokens: 5, prompt: financeQA };
  const { answers } = await evaluate(tuned, rows, [byChrf()], asked);
  for (const [i, row] of rows.entries()) {
    const alone = await generate(plain, financeQA.question(row), { maxNewTokens: 5 });
    assert.deepEqual(answers[i].predictions, { base: alone.trim(), tuned: alone.trim() }); // an adapter starts at nothing
  }
  const texts = ["The fund pays a fee.", "A bond falls when rates rise."];
  const { values, changes } = await forgetting(tuned, texts, { quiet: true });
  const halves = [{ prompt: "The fund", completion: "pays a fee." }, {
    prompt: "A bond falls",
    completion: "when rates rise.",
  }];
  const loss = await evaluateLoss(plain, packBatches(halves, { tokenizer, prompt: completion }));
  assert.ok(Math.abs(values.base.value - loss) < 1e-5, `${values.base.value} ${loss}`);
  assert.deepEqual(changes.tuned, { value: 0, low: 0, high: 0 });
});

const completion = {
  name: "completion",
  question: (row: Row) => row.prompt,
  answer: (row: Row) => row.completion,
};

Deno.test("best and worst rows are those of the largest and the smallest change, and none is both", () => {
  const answers = [0.1, 0.9, 0.5, 0.2].map((tuned, index) => ({
    ...{ index, question: "q", reference: "r", predictions: { base: "b", tuned: "t" } },
    values: { F: { base: 0.4, tuned } },
  }));
  const interval = { value: 0, low: 0, high: 0 };
  const measure = {
    name: "F",
    max: 1,
    values: { base: interval, tuned: interval },
    changes: { tuned: interval },
  };
  const of = (lowerIsBetter: boolean, count = 3, few = answers): Evaluated => ({
    ...{
      models: ["base", "tuned"],
      rows: few.length,
      resamples: 1,
      confidence: 0.95,
      answers: few.slice(0, count + 9),
    },
    measures: [{ ...measure, name: "none" }, { ...measure, lowerIsBetter }].map((m) => ({
      lowerIsBetter: false,
      ...m,
    })),
  });
  const indices = (samples: ReturnType<typeof bestAndWorst>) =>
    [samples!.best, samples!.worst].map((list) => list.map(({ index }) => index));
  assert.deepEqual(indices(bestAndWorst(of(false))), [[1, 2], [0, 3]]);
  assert.deepEqual(indices(bestAndWorst(of(true), 1)), [[0], [1]]);
  assert.deepEqual(indices(bestAndWorst(of(false, 3, answers.slice(0, 1)))), [[0], []]);
  assert.equal(bestAndWorst({ ...of(false), answers: [] }), undefined);
  assert.match(evaluationTable(of(false)), /\| F +\|/);
});

Deno.test("models of any names, against the first", async () => {
  const models = { small: base, "r 4": model, again: base };
  const report = await evaluate(models, rows, [byRouge()], { ...settings, maxNewTokens: 3 });
  assert.deepEqual(report.models, Object.keys(models));
  assert.deepEqual(Object.keys(report.measures[0].changes), ["r 4", "again"]);
  assert.deepEqual(report.measures[0].changes.again, { value: 0, low: 0, high: 0 });
  assert.match(String(report), /\| small +\| r 4 +\| again +\| r 4 - small +\| again - small +\|/);
});
