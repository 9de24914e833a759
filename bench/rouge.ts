// ROUGE of FinSight's 1,000 rows: rows a second here and in Python's rouge_score, in the same run on one core each.
//   deno run -A bench/rouge.ts        (FINTUNE_SHARED names the folder with data/finsight; default ../shared)
import { parse } from "csv-parse/sync";
import { rougeScore } from "../lib/metrics/rouge.ts";

const shared = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
const files = ["base", "qlora"].map((name) => `${shared}/data/finsight/${name}_sample_metrics.csv`);
const rows = files.flatMap((file) =>
  parse<Record<string, string>>(Deno.readTextFileSync(file), { columns: true })
);
const predictions = rows.map((row) => row.prediction), references = rows.map((row) => row.reference);

const PYTHON = `
import csv, sys, time
from rouge_score.rouge_scorer import RougeScorer
rows = [row for file in sys.argv[1:] for row in csv.DictReader(open(file, newline=""))]
scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
start = time.perf_counter()
total = sum(scorer.score(row["reference"], row["prediction"])["rougeLsum"].fmeasure for row in rows)
print(len(rows) / (time.perf_counter() - start), total / len(rows))
`;

function measure(): { rate: number; score: number } {
  const start = performance.now();
  const score = rougeScore(predictions, references).rougeLsum.fmeasure;
  return { rate: rows.length / (performance.now() - start) * 1000, score };
}

const first = measure();
const warm = Math.max(...Array.from({ length: 5 }, () => measure().rate));
console.log(
  `fintune      first call ${first.rate.toFixed(0)} rows/s, best of five more ${warm.toFixed(0)} rows/s`,
);

const python = await new Deno.Command("python3", { args: ["-c", PYTHON, ...files], stderr: "null" }).output();
if (python.success) {
  const [rate, score] = new TextDecoder().decode(python.stdout).trim().split(" ").map(Number);
  console.log(
    `rouge_score  ${rate.toFixed(0)} rows/s; fintune is ${(first.rate / rate).toFixed(1)} times as fast`,
  );
  console.log(`ROUGE-Lsum   ${first.score} here, ${score} there`);
} else {
  console.log("rouge_score  not measured: python3 with rouge_score is not installed");
}
