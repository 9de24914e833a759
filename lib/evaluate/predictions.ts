// The file in which a model's answers are kept as they come, one JSON object a line behind a first line that says whose they
// are: what is there is not generated again.
import { isObject, type Row } from "../data/row.ts";
import { UserError } from "../errors.ts";
import { fileError } from "../formats/file_error.ts";
import type { Fingerprint } from "./fingerprint.ts";

/** The open file; without a path answers are kept in memory alone. */
export interface Predictions extends Disposable {
  /** By row. */
  readonly answers: ReadonlyMap<number, string>;
  /** Adds answers as whole lines, in one write. */
  add(answers: readonly (readonly [row: number, text: string])[]): void;
}

const BEGINNING = '{"fingerprint":';

/**
 * Opens or makes the file. A last line that a crash cut short is taken off.
 *
 * @throws UserError where it holds answers of another model or to other questions, or a line is no answer
 */
export async function openPredictions(
  path: string | undefined,
  fingerprint: Fingerprint,
  rows: number,
): Promise<Predictions> {
  const answers = new Map<number, string>();
  const keep = (added: readonly (readonly [number, string])[]) => {
    for (const [row, text] of added) answers.set(row, text);
  };
  if (path === undefined) return { answers, add: keep, [Symbol.dispose]() {} };
  const { lines, end } = await readWhole(path);
  if (lines.length > 0) checkFirst(lines[0], fingerprint, path);
  lines.slice(1).forEach((line, i) => keep([answerOf(line, `${path}, line ${i + 2}`, rows, answers)]));
  const file = await openAt(path, end);
  const write = (values: readonly object[]) => {
    const bytes = new TextEncoder().encode(values.map((value) => JSON.stringify(value) + "\n").join(""));
    for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
    file.syncDataSync();
  };
  if (lines.length === 0) write([{ fingerprint }]);
  return {
    answers,
    add(added) {
      write(added.map(([row, prediction]) => ({ row, prediction })));
      keep(added);
    },
    [Symbol.dispose]: () => file.close(),
  };
}

/** The whole lines, and where they end in bytes. */
async function readWhole(path: string): Promise<{ lines: string[]; end: number }> {
  const bytes = await Deno.readFile(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return new Uint8Array();
    throw fileError(error, path, "read");
  });
  const end = bytes.lastIndexOf(10) + 1;
  const text = new TextDecoder().decode(bytes.subarray(0, end || bytes.length));
  const begins = end > 0 ? text.startsWith(BEGINNING) : BEGINNING.startsWith(text.slice(0, BEGINNING.length));
  if (!begins) {
    throw new UserError(`${path} holds no answers of evaluate: remove it, or choose another folder.`);
  }
  return { lines: end > 0 ? text.slice(0, -1).split("\n") : [], end };
}

async function openAt(path: string, end: number): Promise<Deno.FsFile> {
  try {
    const file = await Deno.open(path, { write: true, create: true });
    await file.truncate(end);
    await file.seek(0, Deno.SeekMode.End);
    return file;
  } catch (error) {
    throw fileError(error, path, "write");
  }
}

function checkFirst(line: string, here: Fingerprint, path: string): void {
  const saved = parsed(line)?.fingerprint;
  if (!isObject(saved)) throw damaged(`${path}, line 1`);
  for (const name of Object.keys(here)) {
    if (saved[name] === here[name]) continue;
    throw new UserError(
      `${path} holds the answers of another evaluation: its ${name} is ${
        saved[name] ?? "not told"
      }, here it is ${here[name]}; give what it had, remove it, or choose another folder.`,
    );
  }
}

function answerOf(
  line: string,
  where: string,
  rows: number,
  known: ReadonlyMap<number, string>,
): [number, string] {
  const { row, prediction } = parsed(line) ?? {};
  const fits = Number.isInteger(row) && row >= 0 && row < rows && !known.has(row) &&
    typeof prediction === "string";
  if (!fits) throw damaged(where);
  return [row, prediction];
}

function parsed(line: string): Row | undefined {
  try {
    const value = JSON.parse(line);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const damaged = (where: string) =>
  new UserError(
    `${where} is no answer of evaluate, the file is damaged: take the line out, or remove the file.`,
  );
