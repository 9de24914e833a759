// Lines of a document as paragraphs: joined across lines, columns and pages, tables of numbers kept apart.

import type { Line } from "./pdf_lines.ts";

/** A paragraph, a heading, or a table of numbers. */
export interface Block {
  kind: "text" | "heading" | "table";
  text: string;
  /** The page it begins on and the one it ends on, from 1. */
  page: number;
  lastPage: number;
}

/** Blocks of a document; each page's lines come without running headers and footers. */
export function blocksOf(pages: readonly Line[][]): Block[] {
  const all = pages.flat();
  const body = bodySize(all);
  const words = vocabulary(all);
  const blocks: Block[] = [];
  let open: Line[] = [];
  const close = () => {
    if (open.length > 0) blocks.push(textBlock(open, body, words));
    open = [];
  };
  for (const lines of pages) {
    const tables = tableLines(lines);
    const leading = usualLeading(lines);
    const right = lines.reduce((most, line) => Math.max(most, line.right), 0);
    let rows: Line[] = [];
    const closeTable = () => {
      if (rows.length > 0) blocks.push(tableBlock(rows));
      rows = [];
    };
    for (const line of lines) {
      if (tables.has(line)) {
        // A paragraph that a table interrupts goes on behind it only when it continues; it is closed for order's sake.
        close();
        rows.push(line);
        continue;
      }
      closeTable();
      const before = open.at(-1);
      if (before && !belongs(before, line, leading, right)) close();
      open.push(line);
    }
    closeTable();
  }
  close();
  return blocks;
}

const SENTENCE_END = /[.!?:;]["”’)\]]*$/;
const BULLET = /^([•▪●◦‣·–—-]\s|\(?([a-z]|[ivx]{1,4}|\d{1,2})[.)]\s)/;

function belongs(before: Line, line: Line, leading: number, right: number): boolean {
  if (Math.abs(before.size - line.size) > 0.08 * Math.max(before.size, line.size)) return false;
  if (BULLET.test(line.text)) return false;
  const ended = SENTENCE_END.test(before.text);
  if (before.page !== line.page || line.y < before.y) { // another page, or the next column
    return !ended && (/^[\p{Ll}\d(]/u.test(line.text) || /[-,\u00ad]$/.test(before.text));
  }
  if (line.y - before.y > 1.35 * leading) return false;
  const short = before.right < before.x + 0.8 * (right - before.x);
  return !(ended && (short || line.x > before.x + 0.8 * line.size));
}

// The distance between lines that most of the page has.
function usualLeading(lines: readonly Line[]): number {
  const steps = new Map<number, number>();
  lines.forEach((line, i) => {
    const step = i === 0 ? 0 : Math.round((line.y - lines[i - 1].y) * 2) / 2;
    if (step > 0.5 * line.size && step < 3 * line.size) steps.set(step, (steps.get(step) ?? 0) + 1);
  });
  const usual = [...steps].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0];
  return usual?.[0] ?? 14;
}

// The letter height that most characters have.
function bodySize(lines: readonly Line[]): number {
  const characters = new Map<number, number>();
  for (const { size, text } of lines) {
    const rounded = Math.round(size * 2) / 2;
    characters.set(rounded, (characters.get(rounded) ?? 0) + text.length);
  }
  return [...characters].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 12;
}

function textBlock(lines: Line[], body: number, words: Set<string>): Block {
  const text = lines.map((line) => line.text).reduce((joined, next) => joinLines(joined, next, words));
  const heading = lines[0].size > 1.12 * body && text.length < 200;
  return { kind: heading ? "heading" : "text", text, page: lines[0].page, lastPage: lines.at(-1)!.page };
}

/** Joins two lines; a hyphen at the end goes unless the document writes the word with it elsewhere. */
export function joinLines(before: string, after: string, words: Set<string>): string {
  if (before.endsWith("\u00ad")) return before.slice(0, -1) + after;
  const head = /([\p{L}\d-]*[\p{L}\d])-$/u.exec(before)?.[1];
  const tail = /^[\p{L}\d-]+/u.exec(after)?.[0];
  if (!head || !tail) return `${before} ${after}`;
  const joined = (head + tail).toLowerCase(), kept = `${head}-${tail}`.toLowerCase();
  const cut = /\p{L}$/u.test(head) && /^\p{Ll}/u.test(tail) && (words.has(joined) || !words.has(kept));
  return (cut ? before.slice(0, -1) : before) + after;
}

// Words as they stand inside lines: what a word cut in two is compared with.
function vocabulary(lines: readonly Line[]): Set<string> {
  const words = new Set<string>();
  for (const { text } of lines) {
    for (const [word] of text.replace(/\S+-$/, "").matchAll(/\p{L}+(-\p{L}+)*/gu)) {
      words.add(word.toLowerCase());
    }
  }
  return words;
}

const NUMBER = /^[($€£¥+−–—-]*\s?[$€£¥]?\d[\d.,]*\s?[)%x*]*$|^[-–—]+$|^n\/?[am]$/i;

const LEADERS = /(\s?\.){5,}\s*\S{1,5}$/; // a table of contents

// Lines of numbers in columns, with the short labels and column names that stand between and above them.
function tableLines(lines: readonly Line[]): Set<Line> {
  const isTable = lines.map(({ cells, text }) => {
    if (LEADERS.test(text)) return true;
    const numbers = cells.filter((cell) => cell.split(" ").every((part) => NUMBER.test(part))).length;
    if (cells.length > 1) return numbers * 2 >= cells.length - 1 && numbers > 0;
    const parts = text.split(" ");
    return parts.length > 2 && parts.filter((part) => NUMBER.test(part)).length >= 0.6 * parts.length;
  });
  const found = new Set<Line>();
  lines.forEach((line, i) => {
    const between = isTable[i - 1] && isTable[i + 1] && line.text.length < 60;
    const above = isTable[i + 1] && line.cells.length > 1;
    if (isTable[i] || between || above) found.add(line);
  });
  return found;
}

function tableBlock(rows: Line[]): Block {
  const text = rows.map((row) => row.cells.join("\t")).join("\n");
  return { kind: "table", text, page: rows[0].page, lastPage: rows.at(-1)!.page };
}
