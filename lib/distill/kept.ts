// The file in which answers are kept, one JSON object a line: what is there is not asked again.

import { isObject } from "../data/row.ts";
import { UserError } from "../errors.ts";
import { fileError } from "../formats/file_error.ts";

/** An answer, or why there is none. */
export interface KeptAnswer {
  /** A hash of what was asked. */
  key: string;
  /** The answer without its thinking. */
  text?: string;
  /** The thinking. */
  thinking?: string;
  /** With a schema: the value. */
  value?: unknown;
  /** Why the answer is rejected. */
  reason?: string;
  /** The endpoint failed, not the answer: a later run asks again. */
  again?: boolean;
}

/** The open file. */
export interface AnswerFile extends AsyncDisposable {
  /** What it holds. */
  answers: ReadonlyMap<string, KeptAnswer>;
  /** Adds a line; it is on its way to the disk when this returns. */
  add(answer: KeptAnswer): void;
}

const START = '{"key":"'; // of every line

/** Opens or makes the file. A last line that a crash cut short is taken off; any other that is no answer is an error. */
export async function openAnswerFile(path: string): Promise<AnswerFile> {
  const answers = new Map<string, KeptAnswer>();
  const { text, end } = await readWhole(path);
  text.split("\n").forEach((line, i) => {
    if (line.trim() !== "") {
      const answer = answerOf(line, `${path}, line ${i + 1}`);
      if (answer.again) answers.delete(answer.key);
      else answers.set(answer.key, answer);
    }
  });
  const file = await openFor(path, end);
  return {
    answers,
    add(answer) {
      const bytes = new TextEncoder().encode(JSON.stringify(answer) + "\n");
      for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
      answers.set(answer.key, answer);
    },
    async [Symbol.asyncDispose]() {
      await file.sync();
      file.close();
    },
  };
}

/** Each line is appended, wherever the end then is: a second run with this file by mistake overwrites nothing. */
async function openFor(path: string, end: number): Promise<Deno.FsFile> {
  try {
    const file = await Deno.open(path, { append: true, create: true });
    if ((await file.stat()).size > end) await Deno.truncate(path, end);
    return file;
  } catch (error) {
    throw fileError(error, path, "write");
  }
}

/** The text up to the last line end, and where that is in bytes. */
async function readWhole(path: string): Promise<{ text: string; end: number }> {
  try {
    const bytes = await Deno.readFile(path);
    const end = bytes.lastIndexOf(10) + 1;
    const tail = new TextDecoder().decode(bytes.subarray(end, end + START.length));
    if (!START.startsWith(tail)) throw new UserError(`${path} is no file of distill: give another.`);
    return { text: new TextDecoder().decode(bytes.subarray(0, end)), end };
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (error instanceof Deno.errors.NotFound) return { text: "", end: 0 };
    throw fileError(error, path, "read");
  }
}

function answerOf(line: string, where: string): KeptAnswer {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch { /* told below */ }
  const sound = isObject(value) && typeof value.key === "string" &&
    (typeof value.text === "string" || typeof value.reason === "string");
  if (sound) return value as unknown as KeptAnswer;
  throw new UserError(`${where} is no answer of distill: give another file.`);
}
