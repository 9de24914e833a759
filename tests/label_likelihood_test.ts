// Log-probabilities of labels against transformers (tests/reference/label_likelihood.py), on each backend.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { financeQuestions } from "../examples/tiny/questions.ts";
import { financeQA } from "../lib/data/prompt.ts";
import { byLabelLikelihood } from "../lib/evaluate/scores/label_likelihood.ts";
import { type LabelLikelihood, scoreLabels } from "../lib/metrics/label_likelihood.ts";
import { loadModel } from "../lib/models/load.ts";
import { loadAdapter } from "../lib/peft.ts";
import { logits } from "../lib/train/inspect.ts";
import { devices } from "./devices.ts";
import { readJson, referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

interface Case {
  model: string;
  adapter: string | null;
  prompts: number[][];
  labels: number[][];
  sums: number[][];
}
const { models } = await readJson<{ models: Case[] }>("label_likelihood", "cases.json");
const tiny = fromFileUrl(new URL("../examples/tiny/model", import.meta.url));

const largest = (found: LabelLikelihood<unknown>[], sums: number[][]) =>
  Math.max(...found.flatMap((row, i) => row.sums.map((sum, label) => Math.abs(sum - sums[i][label]))));

for (const device of await devices()) {
  for (const { model: name, adapter, prompts, labels, sums } of models) {
    const whole = `${device.backend}: ${name}${adapter ? " with its adapter" : ""}`;
    Deno.test(`${whole}: log-probabilities of labels as transformers'`, async () => {
      const base = await loadModel(join(referenceFolder(name), "model"), { device, dtype: "f32" });
      const model = adapter ? await loadAdapter(base, join(referenceFolder(name), adapter)) : base;
      for (const batchSize of [1, 3, 8]) {
        const found = await scoreLabels(model, prompts, labels, { batchSize });
        const difference = largest(found, sums);
        assert.ok(difference <= 1e-4, `batches of ${batchSize} differ by ${difference}`);
        found.forEach(({ best, bestByMean, means, tokens }, i) => {
          assert.deepEqual(tokens, labels.map((label) => label.length));
          assert.deepEqual(best, labels[sums[i].indexOf(Math.max(...sums[i]))]);
          const byMean = sums[i].map((sum, label) => sum / labels[label].length);
          assert.deepEqual(bestByMean, labels[byMean.indexOf(Math.max(...byMean))]);
          means.forEach((mean, label) => assert.ok(Math.abs(mean - byMean[label]) <= 1e-4));
        });
      }
    });
  }
}

Deno.test("texts: prompt and label are one text, with a space between them", async () => {
  const model = await loadModel(tiny);
  const prompts = financeQuestions({ train: 1, test: 6, seed: 3 }).test
    .map((row) => `### Question: ${row.instruction}\n\n### Answer:`);
  const labels = ["yes", "a bond", "42 percent"] as const;
  const found = await scoreLabels(model, prompts, labels);
  assert.deepEqual(await scoreLabels(model, prompts, labels, { separator: " " }), found);
  const { encode } = model.tokenizer!;
  for (const [i, prompt] of prompts.entries()) {
    for (const [l, label] of labels.entries()) {
      const start = encode(prompt).length, ids = encode(`${prompt} ${label}`);
      const { data, shape } = await logits(model, ids);
      let sum = 0;
      for (let at = start; at < ids.length; at++) {
        const row = data.subarray((at - 1) * shape[1], at * shape[1]);
        sum += row[ids[at]] - Math.log(row.reduce((total, value) => total + Math.exp(value), 0));
      }
      assert.ok(Math.abs(sum - found[i].sums[l]) <= 1e-4, `${prompt} ${label}`);
    }
  }
});

Deno.test("as a score of evaluate: the likeliest label of each row", async () => {
  const model = await loadModel(tiny), labels = ["yes", "a bond", "42 percent"];
  const questions = financeQuestions({ train: 1, test: 5, seed: 4 }).test.map(financeQA.question);
  const likeliest = (await scoreLabels(model, questions, labels)).map(({ best }) => best);
  const answers = questions.map((question, index) => ({
    row: {},
    index,
    question,
    prediction: "whatever",
    reference: index === 0 ? labels.find((label) => label !== likeliest[0])! : likeliest[index],
  }));
  const [accuracy, ...others] = await byLabelLikelihood(labels).measure(answers, { model });
  assert.equal(accuracy.name, "likeliest label: accuracy");
  assert.deepEqual(accuracy.rows, [0, 1, 1, 1, 1]);
  assert.equal(others.length, 2);
  await refused(
    "a reference",
    () => byLabelLikelihood(labels).check!([{ ...answers[0], reference: "no" }]),
    /names none of/,
  );
  await refused("one label", () => byLabelLikelihood(["a"]), /at least two labels, not 1/);
});

Deno.test("labels that cannot be scored", async () => {
  const model = await loadModel(join(referenceFolder("llama_tied"), "model"));
  const asked = (prompts: (string | number[])[], labels: (string | number[])[], options = {}) => () =>
    scoreLabels(model, prompts, labels, options);
  await refused("one label", asked([[1]], [[2]]), /at least two labels, not 1/);
  await refused("empty", asked(["a"], ["", "b"]), /label "" is empty/);
  await refused("twice", asked(["a"], ["b", "b"]), /label "b" is there twice/);
  await refused("no tokenizer", asked(["a"], ["b", "c"]), /no tokenizer/);
  await refused("both kinds", asked([[1]], ["b", "c"]), /Prompt 1 with the label "b": one is text/);
  await refused("an empty prompt", asked([[]], [[2], [3]]), /the prompt is empty/);
  await refused("an empty label", asked([[1]], [[2], []]), /the label has no token/);
  await refused("an id outside", asked([[1]], [[2], [120]]), /vocabulary of 120/);
  await refused("too long", asked([new Array(5000).fill(5)], [[2], [3]]), /shorten the prompt/);
  await refused("a batch size", asked([[1]], [[2], [3]], { batchSize: 0 }), /batchSize is 0/);
  assert.deepEqual(await scoreLabels(model, [], [[2], [3]]), []);
  const signal = AbortSignal.abort(new Error("enough"));
  await assert.rejects(scoreLabels(model, [[1]], [[2], [3]], { signal }), /enough/);
});
