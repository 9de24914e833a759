// Scores of labels against scikit-learn (tests/reference/classification.py); labels in free text.
import assert from "node:assert/strict";
import { classificationScores, findLabel } from "../lib/metrics/classification.ts";
import { confusionChart } from "../lib/report/confusion_chart.ts";
import { renderSVG } from "../lib/report/render.ts";
import { refused } from "./refused.ts";

const { labels, cases } = JSON.parse(
  await Deno.readTextFile(new URL("reference/classification/cases.json", import.meta.url)),
);

Deno.test("scores of labels as scikit-learn's", () => {
  for (const { expected, predicted, ...reference } of cases) {
    const scores = classificationScores(
      predicted.map((label: string | null) => label ?? undefined),
      expected,
      labels,
    );
    for (const name of ["accuracy", "macroF1", "weightedF1"] as const) {
      assert.ok(Math.abs(scores[name] - reference[name]) <= 1e-12, name);
    }
    for (const name of ["precision", "recall", "f1", "support"] as const) {
      const found = labels.map((label: string) => scores.labels[label][name]);
      found.forEach((value: number, i: number) => assert.ok(Math.abs(value - reference[name][i]) <= 1e-12));
    }
    assert.deepEqual(scores.confusion, reference.confusion);
    assert.equal(scores.unlabelled, predicted.filter((label: string | null) => label === null).length);
  }
});

Deno.test("labels in free text", () => {
  const cases: [string, string | undefined][] = [
    ["positive", "positive"],
    ["  **Positive**.", "positive"],
    ["The answer is: negative\n\nExplanation: the news is not positive.", "negative"],
    ["positively", undefined],
    ["", undefined],
    ["<html>500</html>", undefined],
    ["neutral/positive", "neutral"],
    ["not positive", undefined],
    ["It isn't positive but **neutral**", "neutral"],
    ["neither positive nor negative", undefined],
    ['Not a negative, not "neutral": positive', "positive"],
    ["Nothing positive", "positive"],
  ];
  for (const [text, label] of cases) assert.equal(findLabel(text, labels), label, text);
  assert.equal(findLabel("strong buy", ["buy", "strong buy", "strong"]), "strong buy");
});

Deno.test("labels that cannot be scored", async () => {
  await refused("counts", () => classificationScores(["a"], [], ["a"]), /1 predicted labels but 0 expected/);
  await refused("unknown", () => classificationScores(["a"], ["b"], ["a"]), /row 0 is "b", not one of a/);
  await refused("no rows", () => classificationScores([], [], ["a"]), /without any row/);
});

Deno.test("the chart of a confusion matrix has every count, its share, and a column for no label where it is needed", async () => {
  const { confusion } = classificationScores(
    [...new Array(7).fill("up"), "down", undefined, "down"],
    [...new Array(9).fill("up"), "down"],
    ["up", "down"],
  );
  const svg = await renderSVG(confusionChart(confusion, ["up", "down"], { title: "Trends" }));
  for (const text of ["Trends", "Predicted", "Expected", "no label", "7", "78 %", "11 %", "100 %"]) {
    assert.ok(svg.includes(`>${text}</text>`), text);
  }
  const without = await renderSVG(confusionChart([[1, 0, 0], [0, 1, 0]], ["up", "down"]));
  assert.ok(!without.includes("no label"));
  await refused("other labels", () => confusionChart(confusion, ["up"]), /a row for each label/);
});

Deno.test("findLabel: other scripts, more negations; labels that cannot be", async () => {
  const labels = ["正面", "负面", "中性", "positive"];
  const cases: [string, string | undefined][] = [
    ["情绪是正面的", "正面"],
    ["不是正面", undefined],
    ["没有正面影响，中性", "中性"],
    ["非常正面", "正面"],
    ["答案是positive。", "positive"],
    ["It is non-positive.", undefined],
    ["It cannot be positive.", undefined],
    ["not “positive”", undefined],
    ["positive1", undefined],
  ];
  for (const [text, label] of cases) assert.equal(findLabel(text, labels), label, text);
  await refused("empty", () => findLabel("abc", ["", "b"]), /^The label "" is empty/);
  await refused(
    "twice",
    () => classificationScores(["a"], ["a"], ["a", "b", "a"]),
    /^The label "a" is there twice/,
  );
});
