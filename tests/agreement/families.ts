// The small models that the agreement is measured on: the examples' embedded ones, tuned a little on their own rows. A random
// model's logits are nearly tied, and prove nothing.
import { fromFileUrl } from "@std/path";
import { headlineRows } from "../../examples/fingpt/headline_rows.ts";
import { riskRows } from "../../examples/qwen2_risk/rows.ts";
import { sqlQuestions } from "../../examples/sql/rows.ts";
import { factQuestions, financeQuestions } from "../../examples/tiny/questions.ts";
import { fewTerms } from "../../examples/tiny/short_text.ts";
import { chat, financeQA, initModel, loadModel, type Model, type Prompt } from "../../mod.ts";

/** A model, its rows and how they become text. */
export interface Family {
  name: string;
  base(): Promise<Model>;
  rows(): { train: object[]; test: object[] };
  prompt(model: Model): Prompt;
  /** Steps on all weights before the adapter's: for a model that nobody has trained yet. */
  pretrainSteps?: number;
  /** Why llama.cpp computes something else. */
  notInLlamaCpp?: string;
}

const counts = { train: 256, test: 48, seed: 5 };
const embedded = (name: string): Promise<Model> =>
  loadModel(fromFileUrl(new URL(`../../examples/${name}`, import.meta.url)));
const asChat = ({ tokenizer }: Model) => chat(tokenizer!);

/** The embedded Mistral with its window of 64 positions, or as later Mistrals are. */
async function mistral(slidingWindow: number | null): Promise<Model> {
  const model = await embedded("fingpt/model/mistral");
  return { ...model, config: { ...model.config, slidingWindow } };
}

/** The embedded Qwen2 as a Qwen3: norms on the heads in place of the biases. */
async function qwen3(): Promise<Model> {
  const { config, device, weights, tokenizer, generation } = await embedded("qwen2_risk/model");
  const changes = { modelType: "qwen3", qkNorm: true, attentionBias: false } as const;
  const model = await initModel({ ...config, ...changes }, { device, tokenizer });
  const taken = new Map([...model.weights].map(([name, own]) => [name, weights.get(name) ?? own]));
  return { ...model, weights: taken, generation };
}

/** llama.cpp's T5 has the furthest distance of the published ones built in; the embedded one's is nearer. */
async function t5(): Promise<Model> {
  const model = await embedded("sql/model"), { encoderDecoder } = model.config;
  const further = { ...encoderDecoder!, relativeAttentionMaxDistance: 128 };
  return { ...model, config: { ...model.config, encoderDecoder: further } };
}

/** Headlines whose answers say them again: longer than a label. */
function headlines() {
  const { train, test } = headlineRows(counts);
  const longer = (row: (typeof train)[number]) => ({ ...row, output: `This is ${row.output}: ${row.input}` });
  return { train: train.map(longer), test: test.map(longer) };
}

const textToSQL: Prompt = {
  name: "text to SQL",
  question: ({ context, question }) => `${context}\n${question}`,
  answer: ({ answer }) => String(answer),
};

export const families: Family[] = [
  {
    name: "Llama",
    base: () => embedded("tiny/model"),
    rows: () => financeQuestions(counts),
    prompt: () => financeQA,
  },
  { name: "Qwen2", base: () => embedded("qwen2_risk/model"), rows: () => riskRows(counts), prompt: asChat },
  { name: "Qwen3", base: qwen3, rows: () => riskRows(counts), prompt: asChat, pretrainSteps: 60 },
  { name: "Mistral", base: () => mistral(null), rows: headlines, prompt: asChat },
  {
    name: "Mistral, window",
    base: () => mistral(64),
    rows: headlines,
    prompt: asChat,
    notInLlamaCpp: "knows no sliding window",
  },
  {
    name: "Gemma",
    base: () => embedded("fingpt/model/gemma"),
    rows: () => factQuestions({ ...counts, about: fewTerms }),
    prompt: asChat,
  },
  { name: "T5", base: t5, rows: () => sqlQuestions(counts), prompt: () => textToSQL },
];
