// The 1,000 scored rows of FinSight's evaluation: every row's scores and the files' means.
import assert from "node:assert/strict";
import { parse } from "csv-parse/sync";
import { sentenceBleu } from "../../lib/metrics/bleu.ts";
import { rougeRows, rougeScore } from "../../lib/metrics/rouge.ts";

const shared = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
const KINDS = ["rouge1", "rouge2", "rougeL"] as const;

/** The files' means, as the CSV columns give them. */
const MEANS = {
  base: { rouge1: 0.1747982216914105, rouge2: 0.016164898427132167, rougeL: 0.08640854783226302 },
  qlora: { rouge1: 0.19677250604879845, rouge2: 0.029012365767629594, rougeL: 0.1071441966375012 },
};

for (const name of ["base", "qlora"] as const) {
  Deno.test(`ROUGE of FinSight's ${name} rows`, async () => {
    const text = await Deno.readTextFile(`${shared}/data/finsight/${name}_sample_metrics.csv`);
    const rows: Record<string, string>[] = parse(text, { columns: true });
    assert.equal(rows.length, 500);
    const predictions = rows.map((row) => row.prediction), references = rows.map((row) => row.reference);
    let worst = 0;
    rougeRows(predictions, references).forEach((scores, i) => {
      for (const kind of KINDS) {
        worst = Math.max(worst, Math.abs(scores[kind].fmeasure - Number(rows[i][kind])));
      }
    });
    assert.ok(worst <= 1e-9, `largest difference ${worst}`);
    const means = rougeScore(predictions, references);
    for (const kind of KINDS) assert.ok(Math.abs(means[kind].fmeasure - MEANS[name][kind]) <= 1e-9);
    console.log(
      `${name}: ${KINDS.map((kind) => `${kind} ${means[kind].fmeasure.toFixed(4)}`).join(", ")}; ` +
        `largest difference of a row ${worst}`,
    );
  });
}

/** Rows whose sentences NLTK's trained model cuts elsewhere than the list of abbreviations: 1-based, in the files' order. */
const OTHER_SENTENCES = { base: [139, 327, 390], qlora: [261] };

for (const name of ["base", "qlora"] as const) {
  Deno.test(`BLEU of FinSight's ${name} rows, as NLTK's`, async () => {
    const text = await Deno.readTextFile(`${shared}/data/finsight/${name}_sample_metrics.csv`);
    const rows: Record<string, string>[] = parse(text, { columns: true });
    const differing = rows.flatMap((row, i) => {
      const score = sentenceBleu(row.prediction.toLowerCase(), row.reference.toLowerCase());
      return Math.abs(score - Number(row.bleu)) <= 1e-9 ? [] : [i + 1];
    });
    assert.deepEqual(differing, OTHER_SENTENCES[name]);
  });
}
