// Thousands of answers of random logits under constraints, on small and real vocabularies, each held against the validator or
// RegExp; and what they say passes once more as JSON.stringify writes it.
//   deno task test:grammar [--answers=6000] [--seed=1] [--tokenizer=toy,qwen2_risk] [--only=123]
// Real tokenizers of FINTUNE_SHARED (default ../shared) are taken as well where they are.
import { type Schema, Validator } from "@cfworker/json-schema";
import { join } from "@std/path";
import {
  choiceConstraint,
  type Constraint,
  type ConstraintSource,
  jsonSchemaConstraint,
  loadTokenizer,
  markdownTable,
  regexConstraint,
  type Tokenizer,
  UserError,
} from "@fintune/fintune";
import { drawFrom, type Random } from "../examples/tiny/random.ts";
import { nextToken } from "../lib/generate/streams_pick.ts";
import { drawChoices, drawPattern, drawSchema } from "./grammar_draw.ts";
import { CASES } from "./grammar_schemas.ts";
import { isAllowed, toyTokenizer } from "./grammar_toy.ts";

const options = Object.fromEntries(Deno.args.map((argument) => argument.replace(/^--/, "").split("=")));
const seed = Number(options.seed ?? 1), all = Number(options.answers ?? 6000);
const shared = Deno.env.get("FINTUNE_SHARED") ?? "../shared";

/** Name, folder, and which share of the answers it gives: large vocabularies take longer. */
const TOKENIZERS: [name: string, share: number, load: () => Promise<Tokenizer | undefined>][] = [
  ["toy", 8, () => Promise.resolve(toyTokenizer())],
  ["toy that strips a space", 4, () => Promise.resolve(toyTokenizer({ stripsSpace: true }))],
  ...["tiny", "qwen2_risk", "fingpt/model/mistral", "fingpt/model/gemma", "sql"].map((
    name,
  ): typeof TOKENIZERS[number] => [name.replace("/model", ""), 4, () => embedded(name)]),
  ...["smollm2", "qwen2.5", "llama2", "mistral-v0.3", "flan-t5"].map((
    name,
  ): typeof TOKENIZERS[number] => [name, 1, () => existing(join(shared, "tokenizers", name))]),
];

const embedded = (name: string) =>
  loadTokenizer(
    new URL(`../examples/${name.includes("/") ? name : `${name}/model`}`, import.meta.url).pathname,
  );

async function existing(folder: string): Promise<Tokenizer | undefined> {
  return await Deno.stat(folder).then(() => loadTokenizer(folder), () => undefined);
}

/** A constraint, and what its answers have to be. */
interface Task {
  what: string;
  kind: "schema" | "pattern" | "choices";
  source: ConstraintSource;
  /** Says what is wrong with an answer. */
  fault(text: string): string | undefined;
}

async function taskOf(tokenizer: Tokenizer, random: Random): Promise<Task> {
  const kind = random.pick(["schema", "schema", "schema", "pattern", "choices"] as const);
  if (kind === "pattern") {
    const pattern = drawPattern(random), expression = new RegExp(`^(?:${pattern})$`, "u");
    const source = await regexConstraint(tokenizer, pattern);
    return {
      what: pattern,
      kind,
      source,
      fault: (text) => expression.test(text) ? undefined : "does not match",
    };
  }
  if (kind === "choices") {
    const choices = drawChoices(random), source = await choiceConstraint(tokenizer, choices);
    return {
      what: JSON.stringify(choices),
      kind,
      source,
      fault: (text) => choices.includes(text) ? undefined : "is none of them",
    };
  }
  const schema = random.chance(0.2) ? random.pick(CASES).schema : drawSchema(random);
  const source = await jsonSchemaConstraint(tokenizer, schema, { whitespace: random.pick([0, 1, 32]) });
  const draft = /draft-07/.test(JSON.stringify(schema)) ? "7" : "2020-12";
  const validator = new Validator(structuredClone(schema) as Schema, draft);
  return {
    what: JSON.stringify(schema),
    kind,
    source,
    fault(text) {
      const value = JSON.parse(text), { valid, errors } = validator.validate(value);
      if (!valid) return JSON.stringify(errors);
      const written = JSON.stringify(value);
      return /\\ud/.test(written) || passes(source.start(), tokenizer, written)
        ? undefined
        : `does not pass as ${written}`;
    },
  };
}

/** Whether a text passes in the tokenizer's own tokens (the toy has none: byte by byte). */
function passes(constraint: Constraint, tokenizer: Tokenizer, text: string): boolean {
  const encoded = tokenizer.encode(text, { addSpecialTokens: false });
  const ids = encoded.length > 0 ? encoded : [...new TextEncoder().encode(text)];
  // A vocabulary that lacks some character writes something else than the text.
  if (encoded.length > 0 && tokenizer.decode(ids) !== text) return true;
  for (const token of ids) {
    if (!isAllowed(constraint.mask(), token)) return false;
    constraint.accept(token);
  }
  return constraint.done || tokenizer.eosIds.some((id) => isAllowed(constraint.mask(), id));
}

/** Normally distributed numbers, from which each step takes others. */
const NORMALS = (() => {
  const random = drawFrom(seed), table = new Float32Array(2 ** 18);
  return table.map(() => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next()));
})();

const RULES = {
  topK: 0,
  topP: 1,
  repetitionPenalty: 1,
  noRepeatNgramSize: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  logitBias: new Map<number, number>(),
};

/** An answer of random logits of any sharpness, at most `most` tokens. */
function answer(
  constraint: Constraint,
  { vocabSize, eosIds }: Tokenizer,
  most: number,
  random: Random,
): number[] {
  const history: number[] = [], sharpness = random.pick([0.5, 3, 10]);
  const rules = { ...RULES, temperature: random.pick([0, 1]), seed: random.int(0, 1e6), streamId: 0 };
  while (!constraint.done && history.length < most) { // at the limit the text is whole, though more could follow
    const from = random.int(0, NORMALS.length - vocabSize);
    const logits = NORMALS.subarray(from, from + vocabSize).map((x) => sharpness * x);
    for (const id of eosIds) logits[id] -= 2 * sharpness; // longer ones
    const token = nextToken(logits, rules, { history, begun: 0, constraint });
    if (token === undefined) throw new Error("a dead end");
    constraint.accept(token);
    history.push(token);
  }
  return history;
}

const rows: Record<string, unknown>[] = [];
let failures = 0, checked = 0;
const chosen = TOKENIZERS.filter(([name]) => options.tokenizer?.split(",").includes(name) ?? true);
const shares = chosen.reduce((sum, [, share]) => sum + share, 0);
for (const [index, [name, share, load]] of chosen.entries()) {
  const tokenizer = await load();
  if (!tokenizer) {
    console.log(`${name} is not there.`);
    continue;
  }
  const counts = { schema: 0, pattern: 0, choices: 0, tokens: 0, refused: 0 }, begin = Date.now();
  const numbers = options.only === undefined
    ? Array.from({ length: Math.ceil(all * share / shares / 4) }, (_, i) => 10_000 * index + i)
    : [Number(options.only)];
  for (const number of numbers) await askOne(name, tokenizer, number, counts);
  rows.push({
    tokenizer: name,
    ids: tokenizer.vocabSize,
    ...counts,
    s: Math.round((Date.now() - begin) / 1000),
  });
}
console.log(markdownTable(rows));
console.log(`${checked} answers checked, ${failures} wrong (seed ${seed})`);
if (failures > 0) Deno.exit(1);

/** A constraint and four answers under it. */
async function askOne(
  name: string,
  tokenizer: Tokenizer,
  number: number,
  counts: Record<Task["kind"] | "tokens" | "refused", number>,
): Promise<void> {
  const random = drawFrom(seed * 1_000_003 + number);
  let what = "", text = "";
  try {
    const task = await taskOf(tokenizer, random);
    what = task.what;
    for (let i = 0; i < 4; i++) {
      const most = random.int(1, 150);
      const ids = answer(task.source.start(most), tokenizer, most, random);
      text = tokenizer.decode(ids);
      const fault = task.fault(text);
      if (fault !== undefined) throw new Error(fault);
      counts[task.kind]++;
      counts.tokens += ids.length;
      checked++;
    }
  } catch (error) {
    if (error instanceof UserError && !error.message.includes("none that may come here")) {
      return void counts.refused++;
    }
    failures++;
    console.log(
      `FAILURE --tokenizer=${name} --seed=${seed} --only=${number}: ${what} gave ${
        JSON.stringify(text)
      }: ${error}`,
    );
  }
}
