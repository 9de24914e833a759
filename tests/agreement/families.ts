// The small models that the agreement is measured on: the examples' embedded ones, with questions and answers of their own rows.
import { fromFileUrl } from "@std/path";
import { headlineRows } from "../../examples/fingpt/headline_rows.ts";
import { riskRows } from "../../examples/qwen2_risk/rows.ts";
import { sqlQuestions } from "../../examples/sql/rows.ts";
import { factQuestions, financeQuestions } from "../../examples/tiny/questions.ts";
import { fewTerms } from "../../examples/tiny/short_text.ts";
import { chat, financeQA, initModel, loadModel, type Model, openDevice, type Prompt } from "../../mod.ts";

/** A model, its rows and how they become text. */
export interface Family {
  name: string;
  base(): Promise<Model>;
  rows(): object[];
  prompt(model: Model): Prompt;
  /** Steps until it knows its answers by heart. */
  steps: number;
  /** Why llama.cpp computes something else. */
  notInLlamaCpp?: string;
}

// The models are so small that a second thread would mostly wait for the first.
const device = await openDevice({ backend: "cpu", threads: 1 });

const counts = { train: 24, test: 8, seed: 5 };
const embedded = (name: string): Promise<Model> =>
  loadModel(fromFileUrl(new URL(`../../examples/${name}`, import.meta.url)), { device });
const asChat = ({ tokenizer }: Model) => chat(tokenizer!);

/** The embedded SmolLM2 with Llama 3.2's rotary settings, its texts' length an eighth of Meta's. */
async function llama32(): Promise<Model> {
  const model = await embedded("finsight/model");
  const ropeScaling = {
    ropeType: "llama3",
    factor: 32,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositionEmbeddings: 1024,
  } as const;
  return { ...model, config: { ...model.config, ropeTheta: 500_000, ropeScaling } };
}

/** The embedded Mistral with its window of 64 positions, or as later Mistrals are. */
async function mistral(slidingWindow: number | null): Promise<Model> {
  const model = await embedded("fingpt/model/mistral");
  return { ...model, config: { ...model.config, slidingWindow } };
}

/** The embedded Qwen2 as a Qwen3: norms on the heads in place of the biases. */
async function qwen3(): Promise<Model> {
  const { config, weights, tokenizer, generation } = await embedded("qwen2_risk/model");
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
const headlines = () =>
  headlineRows(counts).train.map((row) => ({ ...row, output: `This is ${row.output}: ${row.input}` }));

const facts = () => factQuestions({ ...counts, about: fewTerms }).train;

const textToSQL: Prompt = {
  name: "text to SQL",
  question: ({ context, question }) => `${context}\n${question}`,
  answer: ({ answer }) => String(answer),
};

export const families: Family[] = [
  {
    name: "Llama",
    base: () => embedded("tiny/model"),
    rows: () => financeQuestions(counts).train,
    prompt: () => financeQA,
    steps: 60,
  },
  { name: "Llama 3.2", base: llama32, rows: facts, prompt: asChat, steps: 60 },
  {
    name: "Qwen2",
    base: () => embedded("qwen2_risk/model"),
    rows: () => riskRows(counts).train,
    prompt: asChat,
    steps: 60,
  },
  { name: "Qwen3", base: qwen3, rows: () => riskRows(counts).train, prompt: asChat, steps: 60 },
  { name: "Mistral", base: () => mistral(null), rows: headlines, prompt: asChat, steps: 80 },
  {
    name: "Mistral, window",
    base: () => mistral(64),
    rows: headlines,
    prompt: asChat,
    steps: 80,
    notInLlamaCpp: "knows no sliding window",
  },
  { name: "Gemma", base: () => embedded("fingpt/model/gemma"), rows: facts, prompt: asChat, steps: 60 },
  { name: "T5", base: t5, rows: () => sqlQuestions(counts).train, prompt: () => textToSQL, steps: 80 },
];
