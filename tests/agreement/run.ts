// How many of 64 greedy tokens are those of transformers, for every family and format, from small models that are trained and
// merged. A format is one function in a file of this folder: it is given all models with their prompts, and gives a line for
// each with what came of them.
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
import { transformers } from "./transformers.ts";

const formats: Record<string, (subjects: readonly Subject[]) => Promise<Line[]>> = {
  fintune: own,
  GGUF: gguf,
  ONNX: onnx,
};

/** Tokens at the same places of the same answers. */
function agreeing(
  { prompts }: Subject,
  answers: readonly number[][],
  reference: readonly number[][],
): number {
  let equal = 0;
  prompts.forEach(({ count }, i) => {
    for (let t = 0; t < count; t++) {
      equal += Number(answers[i][t] !== undefined && answers[i][t] === reference[i][t]);
    }
  });
  return equal;
}

async function run(names: readonly string[], folder: string): Promise<boolean> {
  const wanted = <T>(all: readonly T[], name: (one: T) => string) => {
    const found = all.filter((one) => names.includes(name(one)));
    return found.length > 0 ? found : all;
  };
  const subjects: Subject[] = [];
  for (const [i, family] of wanted(families, ({ name }) => name).entries()) {
    const own = join(folder, String(i));
    await Deno.mkdir(own);
    subjects.push(await makeSubject(family, own));
    console.log(`${family.name}: tuned and merged, ${subjects.at(-1)!.prompts.length} answers`);
  }
  const { reference, lines } = await transformers(subjects);
  let failed = false;
  for (const format of wanted(Object.keys(formats), (name) => name)) {
    try {
      lines.push(...await formats[format](subjects));
    } catch (error) {
      console.error(`${format} failed:`, error);
      failed = true;
    }
  }
  const table = [...new Set(lines.map(({ format }) => format))].map((kind) => {
    const row: Record<string, string | number | undefined> = { format: kind };
    for (const [i, subject] of subjects.entries()) {
      const line = lines.find(({ family, format }) => family === subject.family.name && format === kind);
      const equal = line && agreeing(subject, line.answers, reference[i]);
      row[subject.family.name] = equal;
      failed ||= line !== undefined && line.exact && equal !== TOKENS;
    }
    return row;
  });
  console.log(
    `\nOf ${TOKENS} greedy tokens, so many are those of transformers and PEFT over the unmerged model:\n`,
  );
  console.log(markdownTable(table));
  return !failed;
}

const folder = await Deno.makeTempDir();
try {
  const isEqual = await run(Deno.args, folder);
  console.log(isEqual ? "\nAll that have to be the same are." : "\nSome that have to be the same are not.");
  if (!isEqual) Deno.exitCode = 1;
} finally {
  await Deno.remove(folder, { recursive: true });
}
