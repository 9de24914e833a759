// FinSight's table of scores before and after tuning, computed anew from its two files of 500 answers, beside the document's
// figures and the files' own columns. Needs FINTUNE_SHARED: `deno task reproduce`.
import { parse } from "csv-parse/sync";
import { sentenceBleu } from "../lib/metrics/bleu.ts";
import { rougeRows } from "../lib/metrics/rouge.ts";
import { markdownTable } from "../lib/report/table.ts";

export const METRICS = ["rouge1", "rouge2", "rougeL", "bleu"] as const;
type Metric = typeof METRICS[number];
const FILES = { base: "base_sample_metrics.csv", tuned: "qlora_sample_metrics.csv" };

/** The document's table; its figures are of an earlier run than the files. */
const DOCUMENT: Record<Metric, { base: number; tuned: number }> = {
  rouge1: { base: 0.1777, tuned: 0.1962 },
  rouge2: { base: 0.0185, tuned: 0.0264 },
  rougeL: { base: 0.0896, tuned: 0.1057 },
  bleu: { base: 0.0054, tuned: 0.0091 },
};

/** One score of one model: three times the same figure, were all of one run. */
export interface Reproduced {
  metric: Metric;
  model: "base" | "tuned";
  /** In the document's table. */
  document: number;
  /** Mean of the file's own column. */
  file: number;
  /** Mean of the scores computed here. */
  computed: number;
  /** Rows whose computed score is not the file's, within 1e-9. */
  differing: number;
}

/** The eight figures, from the folder of the two files. */
export async function reproduce(folder: string): Promise<Reproduced[]> {
  const figures: Reproduced[] = [];
  for (const model of ["base", "tuned"] as const) {
    const text = await Deno.readTextFile(`${folder}/${FILES[model]}`);
    const rows: Record<string, string>[] = parse(text, { columns: true });
    const rouge = rougeRows(rows.map((row) => row.prediction), rows.map((row) => row.reference));
    // As FinSight did: the stemmer for ROUGE, lower case for BLEU.
    const scoreOf = (metric: Metric, i: number) =>
      metric === "bleu"
        ? sentenceBleu(rows[i].prediction.toLowerCase(), rows[i].reference.toLowerCase())
        : rouge[i][metric].fmeasure;
    for (const metric of METRICS) {
      const computed = rows.map((_, i) => scoreOf(metric, i));
      const file = rows.map((row) => Number(row[metric]));
      figures.push({
        metric,
        model,
        document: DOCUMENT[metric][model],
        file: mean(file),
        computed: mean(computed),
        differing: file.filter((score, i) => !(Math.abs(score - computed[i]) <= 1e-9)).length,
      });
    }
  }
  return figures;
}

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

const change = (before: number, after: number) => `${(100 * (after / before - 1)).toFixed(1)} %`;

/** The table: a score a row, before and after and the change, by document, file and computation. */
export function table(figures: readonly Reproduced[]): string {
  const of = (metric: Metric, model: "base" | "tuned") =>
    figures.find((figure) => figure.metric === metric && figure.model === model)!;
  return markdownTable(METRICS.flatMap((metric) => {
    const base = of(metric, "base"), tuned = of(metric, "tuned");
    return (["document", "file", "computed"] as const).map((from) => ({
      score: metric,
      from,
      base: base[from],
      tuned: tuned[from],
      change: change(base[from], tuned[from]),
      ...(from === "computed"
        ? { "rows unlike the file": `${base.differing} and ${tuned.differing} of 500` }
        : {}),
    }));
  }));
}

if (import.meta.main) {
  const shared = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
  const figures = await reproduce(`${shared}/data/finsight`);
  console.log(table(figures));
  console.log(
    "\nThe document's figures are not those of the files that its authors published: ROUGE-1 of the base is " +
      `${DOCUMENT.rouge1.base} there and ${
        figures[0].file.toFixed(4)
      } here. Rows whose BLEU differs are those whose sentences ` +
      "NLTK's trained model cuts elsewhere than a list of abbreviations does.",
  );
}
