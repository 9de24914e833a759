// Plain text as rows of one field "text": a line, a paragraph or a whole file each, as Hugging Face's "text" loader cuts it.

import { UserError } from "../errors.ts";
import type { Row } from "./row.ts";
import { lineBlocks, LONGEST_TEXT } from "./text.ts";

/** Rows of a text; empty lines are rows with "line", what stands between them with "paragraph". */
export async function* readText(
  text: AsyncIterable<string>,
  file: string,
  sampleBy: "line" | "paragraph" | "document" = "line",
): AsyncGenerator<Row[]> {
  if (sampleBy === "document") return yield* readDocument(text, file);
  if (sampleBy !== "line" && sampleBy !== "paragraph") {
    throw new UserError(`sampleBy is "${sampleBy}": give "line", "paragraph" or "document".`);
  }
  let paragraph: string[] = [];
  for await (const { lines } of lineBlocks(text, file)) {
    const clean = lines.map((line) => line.endsWith("\r") ? line.slice(0, -1) : line);
    if (sampleBy === "line") {
      yield clean.map((line) => ({ text: line }));
      continue;
    }
    const rows: Row[] = [];
    for (const line of clean) {
      if (line.trim() !== "") paragraph.push(line);
      else if (paragraph.length > 0) {
        rows.push({ text: paragraph.join("\n") });
        paragraph = [];
      }
    }
    yield rows;
  }
  if (paragraph.length > 0) yield [{ text: paragraph.join("\n") }];
}

async function* readDocument(text: AsyncIterable<string>, file: string): AsyncGenerator<Row[]> {
  const pieces: string[] = [];
  let length = 0;
  for await (const piece of text) {
    pieces.push(piece);
    length += piece.length;
    if (length > LONGEST_TEXT) {
      throw new UserError(`${file} is too long for one text (512 MB): use sampleBy "line".`);
    }
  }
  yield [{ text: pieces.join("") }];
}
