// What a constraint costs a token in CPU time: masks for the tokens of two documents, and following them; cold (a grammar's
// first answer) and warm, at 49,152 and 151,665 tokens, beside xgrammar and llguidance in the same run.
//
//   deno run -A bench/grammar.ts [python with xgrammar, torch and llguidance]
//
// Tokenizers: FINTUNE_SHARED (default ../shared)/tokenizers/{smollm2,qwen2.5}.

import process from "node:process";
import { join } from "@std/path";
import { jsonSchemaConstraint, loadTokenizer, markdownTable } from "@fintune/fintune";
import { riskSchema } from "../examples/qwen2_risk/rows.ts";

const shared = Deno.env.get("FINTUNE_SHARED") ?? "../shared", [python] = Deno.args;

const bounded = {
  type: "object",
  properties: {
    company: { type: "string", minLength: 1, maxLength: 80 },
    ticker: { type: "string", pattern: "^[A-Z]{1,5}$" },
    filed: { type: "string", format: "date" },
    revenue: { type: "number", minimum: 0 },
    quarters: {
      type: "array",
      minItems: 1,
      maxItems: 4,
      items: {
        type: "object",
        properties: {
          quarter: { enum: ["Q1", "Q2", "Q3", "Q4"] },
          eps: { type: "number" },
          note: { type: "string" },
        },
        required: ["quarter", "eps", "note"],
        additionalProperties: false,
      },
    },
  },
  required: ["company", "ticker", "filed", "revenue", "quarters"],
  additionalProperties: false,
};
const quarter = (name: string) => ({
  quarter: name,
  eps: 1.27,
  note: "Margins held up although demand from automotive customers fell.",
});
const documents = [
  {
    name: "risk notes",
    schema: riskSchema,
    value: {
      entity: "NVIDIA",
      sentiment: "Positive",
      risk: "Medium",
      reasoning:
        "The announcement lifts demand for accelerators, which supports revenue; valuation leaves room for setbacks.",
    },
  },
  {
    name: "a filing",
    schema: bounded,
    value: {
      company: "Example Holdings plc",
      ticker: "EXH",
      filed: "2026-02-27",
      revenue: 12345.67,
      quarters: ["Q1", "Q2", "Q3", "Q4"].map(quarter),
    },
  },
];

interface Timing {
  case: string;
  rival: string;
  compile?: number;
  cold?: number;
  warm?: number;
  error?: string;
}

/** Milliseconds of this process's work: a busy machine changes them little. */
const cpu = () => (process.cpuUsage().user + process.cpuUsage().system) / 1000;

const timings: Timing[] = [], cases: Record<string, unknown>[] = [];
for (const folder of ["smollm2", "qwen2.5"]) {
  const path = join(shared, "tokenizers", folder), tokenizer = (await loadTokenizer(path))!;
  let begin = cpu();
  await jsonSchemaConstraint(tokenizer, { const: 1 });
  console.log(
    `${folder}: ${tokenizer.vocabSize} tokens read into tries in ${(cpu() - begin).toFixed(0)} ms, once`,
  );
  for (const { name, schema, value } of documents) {
    const ids = tokenizer.encode(JSON.stringify(value), { addSpecialTokens: false });
    begin = cpu();
    const source = await jsonSchemaConstraint(tokenizer, schema);
    source.start();
    const compile = cpu() - begin;
    const follow = (times: number): number => {
      const begin = cpu();
      for (let i = 0; i < times; i++) {
        const constraint = source.start();
        for (const token of ids) {
          constraint.mask();
          constraint.accept(token);
        }
      }
      return 1000 * (cpu() - begin) / (times * ids.length);
    };
    timings.push({
      case: `${folder}, ${name}`,
      rival: "fintune",
      compile,
      cold: follow(1),
      warm: follow(20),
    });
    cases.push({
      name: `${folder}, ${name}`,
      tokenizer: join(path, "tokenizer.json"),
      size: tokenizer.vocabSize,
      eos: tokenizer.eosId,
      schema,
      ids,
    });
  }
}

if (python) {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(file, JSON.stringify(cases));
  const script = new URL("./rivals/grammar.py", import.meta.url).pathname;
  const { stdout, success } = await new Deno.Command(python, { args: [script, file], stderr: "inherit" })
    .output();
  await Deno.remove(file);
  if (success) timings.push(...JSON.parse(new TextDecoder().decode(stdout)));
}

timings.sort((a, b) => a.case < b.case ? -1 : a.case > b.case ? 1 : 0);
console.log(markdownTable(timings.map((one) => ({
  "vocabulary, schema": one.case,
  by: one.rival,
  "compile, ms": one.compile?.toFixed(1) ?? one.error ?? "",
  "cold, µs a token": one.cold?.toFixed(1) ?? "",
  "warm, µs a token": one.warm?.toFixed(1) ?? "",
}))));
