// A run's folder as examples/finetune.ts leaves it, small: for tests of the card.
import { join } from "@std/path";
import type { Evaluated, MeasuredScore } from "../lib/evaluate/evaluation.ts";
import { writeEvaluation } from "../lib/evaluate/folder.ts";
import { openRunLog } from "../lib/report/run_log.ts";

const measure = (
  name: string,
  base: number,
  tuned: number,
  max = 1,
  lowerIsBetter = false,
): MeasuredScore => {
  const interval = (value: number) => ({ value, low: value - 0.02 * max, high: value + 0.02 * max });
  return {
    name,
    max,
    lowerIsBetter,
    values: { base: interval(base), tuned: interval(tuned) },
    changes: { tuned: interval(tuned - base) },
  };
};

/** What the evaluation found. */
export const evaluated: Evaluated = {
  models: ["base", "tuned"],
  rows: 64,
  resamples: 1000,
  confidence: 0.95,
  measures: [
    measure("ROUGE-L", 0.2148, 0.8012),
    measure("BLEU", 3.1, 41.234567, 100),
    measure("general loss", 3.4, 3.45, 10, true),
  ],
  answers: [{
    index: 0,
    question: "A private question of a row",
    reference: "A private answer",
    predictions: { base: "x", tuned: "y" },
    values: {},
  }],
};

/** Writes settings, data, log, evaluation and adapter into a folder. */
export async function writeRun(out: string, base: string, data = "gbharti/finance-alpaca"): Promise<void> {
  const json = (name: string, value: unknown) =>
    Deno.writeTextFile(join(out, name), JSON.stringify(value, null, 2));
  await json("settings.json", [{
    model: base,
    data,
    out: "/home/alice/out",
    "held-out": 0.1,
    "held-out-data": "/home/alice/test.jsonl",
    prompt: "auto",
    "full-precision": false,
    r: 8,
    "learning-rate": 2e-4,
    "target-modules": "all-linear",
    scores: ["rouge", "bleu"],
    batchSize: 4,
  }]);
  await json("data.json", [{
    rows: 1000,
    "held-out rows": 64,
    prompt: "alpaca",
    tokens: 123456,
    "What a maxLength keeps and wastes": [{ maxLength: 256, "rows whole": 0.91 }, {
      maxLength: 512,
      "rows whole": 1,
    }],
  }]);
  const log = await openRunLog(join(out, "log.jsonl"));
  for (let step = 1; step <= 20; step++) {
    log.write({ kind: "step", step, time: 1000 + step, loss: 3 / step, learningRate: 1e-4, memory: 2e9 });
    if (step % 10 === 0) log.write({ kind: "evaluation", step, time: 1000 + step, loss: 4 / step });
  }
  log.write({ kind: "end", step: 20, time: 1021, stopped: "done" });
  log.close();
  await writeEvaluation(join(out, "evaluation"), evaluated);
  await Deno.mkdir(join(out, "adapter"));
  await json("adapter/adapter_config.json", {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: base,
    r: 8,
    lora_alpha: 16,
    target_modules: ["q_proj", "v_proj"],
  });
  await Deno.writeFile(join(out, "adapter/adapter_model.safetensors"), new Uint8Array(1000).fill(7));
}
