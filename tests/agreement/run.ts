// How many of 64 greedy tokens are those of transformers, for every family and format, from small models that are trained and
// merged. A format is one function in a file of this folder: it is given all models with their questions, and gives a line for
// each with what came of them; and lines of models with something wrong, which must not agree.
//
//   deno task test:agreement            all
//   deno task test:agreement T5 GGUF    only what is called so
//
// FINTUNE_PYTHON names a Python with tests/interop/requirements.txt installed (default python3).
import { join } from "@std/path";
import { markdownTable } from "../../mod.ts";
import { families } from "./families.ts";
import { gguf } from "./gguf.ts";
import { onnx } from "./onnx.ts";
import { own } from "./own.ts";
import { type Line, makeSubject, type Subject, TOKENS } from "./subject.ts";
import { type Reference, transformers } from "./transformers.ts";

const formats: Record<string, (subjects: readonly Subject[]) => Promise<Line[]>> = {
  fintune: own,
  GGUF: gguf,
  ONNX: onnx,
};

function wanted<T>(all: readonly T[], names: readonly string[], name: (one: T) => string): readonly T[] {
  const found = all.filter((one) => names.includes(name(one)));
  return found.length > 0 ? found : all;
}

/** Tokens at the same places of an answer; of several answers the fewest. */
const agreeing = (answers: readonly number[][], reference: readonly number[][]): number =>
  Math.min(...reference.map((expected, i) => expected.filter((id, t) => id === answers[i][t]).length));

const kindOf = ({ format, damage }: Line): string => damage === undefined ? format : `${format}, ${damage}`;

/** A row for each kind, a column for each family. */
function show<T>(
  first: string,
  kinds: readonly T[],
  subjects: readonly Subject[],
  cell: (kind: T, family: number) => string | number | undefined,
): string {
  const rows = kinds.map((kind) => [
    [first, kind],
    ...subjects.map(({ family }, i) => [family.name, cell(kind, i)]),
  ]);
  return markdownTable(rows.map((row) => Object.fromEntries(row)));
}

/** Prints all; whether it is as it has to be. */
function report(
  subjects: readonly Subject[],
  references: readonly Reference[],
  lines: readonly Line[],
): boolean {
  const counts = lines.map((line) => {
    const family = subjects.findIndex(({ family }) => family.name === line.family);
    return { ...line, kind: kindOf(line), equal: agreeing(line.answers, references[family].answers) };
  });
  const kinds = (
    isRight: boolean,
  ) => [
    ...new Set(counts.filter(({ damage }) => isRight === (damage === undefined)).map(({ kind }) => kind)),
  ];
  const equal = (kind: string, i: number) =>
    counts.find((line) => line.kind === kind && line.family === subjects[i].family.name)?.equal;
  const known: Record<string, (i: number) => string> = {
    "loss of the answers": (i) => subjects[i].loss.toFixed(4),
    "smallest margin": (i) => references[i].margin.toFixed(2),
  };
  console.log(
    "\nWhat is known by heart, and by how much its tokens' logits lead, in transformers and PEFT:\n",
  );
  console.log(show("unmerged", Object.keys(known), subjects, (kind, i) => known[kind](i)));
  console.log(`\nOf ${TOKENS} greedy tokens, so many are the same (of two answers the fewer):\n`);
  console.log(show("format", kinds(true), subjects, equal));
  console.log(`\nWith something wrong, they must be fewer than ${TOKENS}:\n`);
  console.log(show("damaged", kinds(false), subjects, equal));
  return references.every(({ answers }) => answers.every(({ length }) => length === TOKENS)) &&
    counts.every(({ equal, damage }) => (equal === TOKENS) === (damage === undefined));
}

async function run(names: readonly string[], folder: string): Promise<boolean> {
  const subjects: Subject[] = [];
  for (const [i, family] of wanted(families, names, ({ name }) => name).entries()) {
    const own = join(folder, String(i));
    await Deno.mkdir(own);
    subjects.push(await makeSubject(family, own));
  }
  const chosen = wanted(Object.keys(formats), names, (name) => name);
  const { references, lines } = await transformers(subjects);
  for (const format of chosen) lines.push(...await formats[format](subjects));
  return report(subjects, references, lines);
}

const folder = await Deno.makeTempDir();
try {
  const isRight = await run(Deno.args, folder);
  console.log(isRight ? "\nAll is as it has to be." : "\nNot all is as it has to be.");
  if (!isRight) Deno.exitCode = 1;
} finally {
  await Deno.remove(folder, { recursive: true });
}
