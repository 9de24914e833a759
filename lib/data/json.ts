// JSON: rows from a list, from an object that holds one, from columns, or from lines; piece by piece where it is large.

import { UserError } from "../errors.ts";
import { chain } from "./bytes.ts";
import { rowsOfValue } from "./json_shapes.ts";
import { checkRow, type Row } from "./row.ts";
import { lineBlocks } from "./text.ts";

/** Up to so many characters a file is parsed at once, several times as fast; beyond, by a streaming parser. */
export const WHOLE_JSON: number = 2 ** 25;

/** Rows of lines that hold an object each; empty lines are passed over. */
export async function* readJsonLines(text: AsyncIterable<string>, file: string): AsyncGenerator<Row[]> {
  for await (const { lines, first } of lineBlocks(text, file)) {
    const rows: Row[] = [];
    lines.forEach((line, i) => {
      if (line.trim() === "") return;
      if (rows.length === 0 && line.trimStart()[0] === "[") throw new UserError(listNotLines(file));
      rows.push(parseRow(line, `${file}, line ${first + i}`));
    });
    yield rows;
  }
}

/**
 * Rows of a JSON text: a list of objects, an object that holds one, columns as pandas writes them, or (as many .json files on
 * the web are) an object a line.
 *
 * @param field which list, when an object holds several
 * @param whole see {@linkcode WHOLE_JSON}
 */
export async function* readJson(
  text: AsyncGenerator<string>,
  file: string,
  field?: string,
  whole: number = WHOLE_JSON,
): AsyncGenerator<Row[]> {
  const taken: string[] = [];
  let length = 0;
  while (length <= whole) {
    const next = await text.next();
    if (next.done) return yield* readWhole(taken, file, field);
    taken.push(next.value);
    length += next.value.length;
  }
  const start = taken[0].trimStart();
  const rest = chain(taken, text);
  if (start[0] === "{" && isObjectLine(taken.join(""))) yield* readJsonLines(rest, file);
  else yield* readPieces(rest, file, start[0] === "[" ? "[" : "{", field);
}

async function* readWhole(taken: string[], file: string, field?: string): AsyncGenerator<Row[]> {
  const text = taken.join("");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!isObjectLine(text)) throw notJson(file, error);
    return yield* readJsonLines(
      (async function* () {
        yield text;
      })(),
      file,
    );
  }
  yield rowsOfValue(value, file, field);
}

// Whether the first line is an object of its own, with more behind it.
function isObjectLine(text: string): boolean {
  const end = text.indexOf("\n");
  if (end < 0 || text.trimStart()[0] !== "{") return false;
  try {
    JSON.parse(text.slice(0, end));
    return true;
  } catch {
    return false;
  }
}

async function* readPieces(
  text: AsyncIterable<string>,
  file: string,
  opening: "[" | "{",
  field?: string,
): AsyncGenerator<Row[]> {
  const { JSONParser } = await import("@streamparser/json");
  const inList = opening === "[";
  // keepStack: false lets go of every value that was handed out.
  const parser = new JSONParser({ paths: [inList ? "$.*" : `$.${field ?? "*"}.*`], keepStack: false });
  let rows: Row[] = [], count = 0, list: string | undefined;
  parser.onValue = ({ value, key, stack }) => {
    if (typeof key !== "number") return; // a field of an object beside the list
    if (!inList) {
      const name = String(stack[1]?.key);
      list ??= name;
      if (list !== name) {
        throw new UserError(
          `${file} holds several lists: say which one with { field } ("${list}", "${name}" ...).`,
        );
      }
    }
    checkRow(value, `${file}, row ${count++}`);
    rows.push(value as unknown as Row);
  };
  const run = (step: () => void) => {
    try {
      step();
    } catch (error) {
      throw error instanceof UserError ? error : notJson(`${file}, in row ${count} or behind it,`, error);
    }
  };
  for await (const piece of text) {
    if (parser.isEnded && piece.trim() === "") continue;
    run(() => parser.write(piece));
    if (rows.length > 0) yield rows;
    rows = [];
  }
  if (!parser.isEnded) run(() => parser.end());
  if (!inList && list === undefined) {
    throw new UserError(
      field === undefined
        ? `${file} holds neither a list of rows nor an object with one (columns are understood up to 32 MB).`
        : `${file} has no list "${field}".`,
    );
  }
}

const listNotLines = (file: string) =>
  `${file} holds a JSON list, not an object a line: name it .json, or give { format: "json" }.`;

function parseRow(text: string, where: string): Row {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw notJson(where, error);
  }
  checkRow(value, where);
  return value as Row;
}

function notJson(where: string, error: unknown): UserError {
  const reason = (error as Error).message.replaceAll(/\s+/g, " ").replace(/\.$/, "").slice(0, 200);
  return new UserError(`${where} is not valid JSON: ${reason}.`);
}
