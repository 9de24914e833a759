// PDF: pages to clean passages that know where they come from.

import { basename } from "@std/path";
import { UserError } from "../errors.ts";
import { gather, openBytes } from "./bytes.ts";
import { Dataset } from "./dataset.ts";
import { type Line, linesOf, runningLines, type TextItem } from "./pdf_lines.ts";
import { type Block, blocksOf } from "./pdf_paragraphs.ts";

/** Options of {@linkcode loadPDF}. */
export interface PDFOptions {
  /**
   * The most characters of a passage (default 1200): paragraphs under one heading are put together up to it, longer ones are
   * cut between sentences.
   */
  passageLength?: number;
  /** The most bytes of the file (default 256 MB). */
  maxBytes?: number;
}

/** A piece of a document's text and where it stands. */
export interface Passage {
  /** Whole paragraphs, an empty line between them. */
  text: string;
  /** The heading above it, or "". */
  heading: string;
  /** The file's name. */
  source: string;
  /** The page it begins on, from 1. */
  page: number;
  /** The page it ends on. */
  lastPage: number;
}

/** What {@linkcode loadPDF} finds. */
export interface PDFText {
  /** The running text. */
  passages: Dataset<Passage>;
  /** Tables of numbers and of contents, kept apart: rows as lines, a tab between cells. */
  tables: Dataset<Passage>;
  /** How many pages the file has. */
  pages: number;
  /** How many lines were left out as running headers, footers or page numbers. */
  runningLines: number;
  /** Pages without any text, from 1: pictures or scans. */
  emptyPages: number[];
}

/**
 * Reads a PDF into passages for training or for making questions from. Running headers and footers and page numbers are left
 * out, words cut at line ends are joined, paragraphs go on across lines, columns and pages, tables of numbers are kept apart.
 * The text is what pdf.js (through unpdf) extracts; what is only a picture has to go through OCR first.
 *
 * @param source path or URL of the file
 * @throws UserError for a file that is no PDF, damaged, protected by a password, or without any text
 *
 * @example
 * ```ts
 * import { loadPDF } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const { passages, tables } = await loadPDF("tests/reference/pdf/report.pdf", { passageLength: 800 });
 * assert.equal(passages.at(0).heading, "Risk management");
 * assert.match(passages.at(0).text, /^The yield to maturity is the discount rate/);
 * assert.equal(tables.at(0).text.split("\n")[1], "Revenue\t1,234.5\t(987)");
 * ```
 */
export async function loadPDF(source: string, options: PDFOptions = {}): Promise<PDFText> {
  const { passageLength = 1200, maxBytes = 256e6 } = options;
  if (!Number.isInteger(passageLength) || passageLength < 50) {
    throw new UserError(`passageLength is ${passageLength}: give a number of characters, 50 or more.`);
  }
  const pages = await pagesOf(await gather(openBytes(source, { maxBytes, maxExpansion: 1000 })), source);
  const running = runningLines(pages);
  const blocks = blocksOf(pages.map((lines) => lines.filter((line) => !running.has(line))));
  if (blocks.length === 0) {
    throw new UserError(
      `${source} holds no text on its ${pages.length} pages: they may be scans, which need OCR first.`,
    );
  }
  const name = basename(source);
  const tables = blocks.filter((block) => block.kind === "table")
    .map(({ text, page, lastPage }) => ({ text, heading: "", source: name, page, lastPage }));
  return {
    passages: new Dataset(passagesOf(blocks, passageLength, name), name),
    tables: new Dataset(tables, `${name}'s tables`),
    pages: pages.length,
    runningLines: running.size,
    emptyPages: pages.flatMap((lines, i) => lines.length === 0 ? [i + 1] : []),
  };
}

async function pagesOf(bytes: Uint8Array, source: string): Promise<Line[][]> {
  const { getDocumentProxy } = await import("unpdf");
  try {
    const pdf = await getDocumentProxy(bytes, {
      verbosity: 0,
      useSystemFonts: false,
    });
    try {
      const pages: Line[][] = [];
      for (let number = 1; number <= pdf.numPages; number++) {
        const page = await pdf.getPage(number);
        const { items } = await page.getTextContent();
        const text = items.filter((item) => "str" in item) as TextItem[];
        pages.push(linesOf(text, page.getViewport({ scale: 1 }).transform, number));
        page.cleanup();
      }
      return pages;
    } finally {
      await pdf.cleanup();
      await pdf.loadingTask.destroy();
    }
  } catch (error) {
    const { name, message } = error as Error;
    if (name === "PasswordException") {
      throw new UserError(`${source} is protected by a password: save it without one first.`);
    }
    const reason = message.replaceAll(/\s+/g, " ").replace(/\.$/, "").slice(0, 200);
    throw new UserError(`${source} is damaged or no PDF: ${reason}.`);
  }
}

function passagesOf(blocks: readonly Block[], length: number, source: string): Passage[] {
  const passages: Passage[] = [];
  let heading = "", current: Passage | undefined;
  for (const block of blocks) {
    if (block.kind === "table") continue;
    if (block.kind === "heading") {
      [heading, current] = [block.text, undefined];
      continue;
    }
    for (const text of pieces(block.text, length)) {
      if (current && current.text.length + 2 + text.length <= length) {
        current.text += "\n\n" + text;
        current.lastPage = block.lastPage;
      } else {
        current = { text, heading, source, page: block.page, lastPage: block.lastPage };
        passages.push(current);
      }
    }
  }
  return passages;
}

// A paragraph in pieces of at most `length` characters: whole sentences, or words where a sentence is longer.
function pieces(text: string, length: number): string[] {
  if (text.length <= length) return [text];
  const sentences = text.split(/(?<=[.!?]["”’)]*)\s+(?=[\p{Lu}\d"“(])/u)
    .flatMap((sentence) => sentence.length <= length ? [sentence] : sentence.split(" "));
  const found: string[] = [];
  for (const sentence of sentences) {
    const last = found.at(-1);
    if (last !== undefined && last.length + 1 + sentence.length <= length) {
      found[found.length - 1] = `${last} ${sentence}`;
    } else found.push(sentence);
  }
  return found;
}
