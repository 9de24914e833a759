// What pdf.js finds on a page, as lines of text with their places, and which of them run through the document.

/** A piece of text as pdf.js gives it. */
export interface TextItem {
  str: string;
  /** [a, b, c, d, x, y] in the page's own space. */
  transform: number[];
  width: number;
}

/** A line of a page; lengths in points, y grows downwards. */
export interface Line {
  text: string;
  /** The line cut where gaps are wide, as between the columns of a table. */
  cells: string[];
  x: number;
  right: number;
  y: number;
  /** Height of its letters. */
  size: number;
  page: number;
}

const CELL_GAP = 2; // in letter heights; justified text stays well below
const SPACE_GAP = 0.12;

/**
 * Lines of a page in the order in which the file writes them, which follows columns. Text that stands on its side is left out.
 *
 * @param viewport pdf.js's matrix from the page's space to the upright page
 */
export function linesOf(items: readonly TextItem[], viewport: number[], page: number): Line[] {
  const lines: Line[] = [];
  let line: Line | undefined, spaced = false;
  for (const { str, transform, width } of items) {
    if (str.trim() === "") {
      spaced ||= str !== "";
      continue;
    }
    const [a, b, c, d, x, y] = multiply(viewport, transform);
    const size = Math.hypot(c, d);
    if (size === 0 || Math.abs(b) > 0.2 * Math.hypot(a, b) || a < 0) continue;
    const text = clean(str), gap = line ? (x - line.right) / size : 0;
    if (!line || Math.abs(y - line.y) > 0.55 * Math.max(size, line.size) || gap < -2) {
      line = { text, cells: [text], x, right: x + width, y, size, page };
      lines.push(line);
    } else {
      const apart = gap > CELL_GAP;
      const space = apart || spaced || gap > SPACE_GAP || /^\s/.test(str) || /\s$/.test(line.text) ? " " : "";
      line.text = line.text.trimEnd() + space + text.trimStart();
      if (apart) line.cells.push(text.trim());
      else line.cells.push(line.cells.pop()!.trimEnd() + space + text.trimStart());
      line.right = x + width;
      line.size = Math.max(line.size, size); // a raised "1" does not make small print
    }
    spaced = false;
  }
  for (const each of lines) {
    each.text = each.text.trim();
    each.cells = each.cells.map((cell) => cell.trim());
  }
  return lines;
}

function multiply(m: number[], n: number[]): number[] {
  return [
    m[0] * n[0] + m[2] * n[1],
    m[1] * n[0] + m[3] * n[1],
    m[0] * n[2] + m[2] * n[3],
    m[1] * n[2] + m[3] * n[3],
    m[0] * n[4] + m[2] * n[5] + m[4],
    m[1] * n[4] + m[3] * n[5] + m[5],
  ];
}

// Ligatures become letters, unusual spaces become spaces, control characters go. A soft hyphen at the end marks a cut word.
function clean(text: string): string {
  return text.replaceAll(/[\ufb00-\ufb06]/g, (letter) => letter.normalize("NFKC"))
    .replaceAll(/[\u00a0\u2000-\u200a\u202f\u3000\t]/g, " ")
    // deno-lint-ignore no-control-regex
    .replaceAll(/[\u0000-\u0008\u000b-\u001f\u200b\ufeff]|\u00ad(?!$)/g, "");
}

const EDGE = 3; // so many lines at the top and at the bottom of a page may be running ones
const PAGE_NUMBER = /^(page\s*)?[-–—|[(]?\s*(\d{1,4}|[ivxlc]{1,7})\s*[-–—|\])]?(\s*(of|\/)\s*\d{1,4})?$/i;

/**
 * Running headers, footers and page numbers: lines near a page's edge that, but for their numbers, stand at the same height on
 * several pages (two of up to three, else three); outermost lines that are a page number, or begin or end with one that counts
 * with the pages (a chapter's title beside it changes).
 */
export function runningLines(pages: readonly Line[][]): Set<Line> {
  const running = new Set<Line>();
  const alike = new Map<string, Line[]>();
  const counting = new Map<number, Line[]>();
  const note = <K>(map: Map<K, Line[]>, key: K, line: Line) => map.set(key, [...map.get(key) ?? [], line]);
  for (const lines of pages) {
    const byHeight = lines.toSorted((a, b) => a.y - b.y);
    for (const line of [byHeight.at(0), byHeight.at(-1)]) {
      if (!line || lines.length < 2) continue;
      if (PAGE_NUMBER.test(line.text)) running.add(line);
      for (const cell of line.cells.length > 1 ? [line.cells[0], line.cells.at(-1)!] : []) {
        if (/^\d{1,4}$/.test(cell)) note(counting, Number(cell) - line.page, line);
      }
    }
    const edges = new Set([...byHeight.slice(0, EDGE), ...byHeight.slice(-EDGE)]);
    for (const line of edges) {
      const key = line.text.toLowerCase().replaceAll(/\P{L}+/gu, " ").trim(); // left and right pages put numbers elsewhere
      if (key === "" && !PAGE_NUMBER.test(line.text)) continue; // numbers of a table
      note(alike, key, line);
    }
  }
  const enough = pages.length <= 3 ? 2 : 3;
  for (const lines of counting.values()) {
    if (new Set(lines.map((line) => line.page)).size >= enough) lines.forEach((line) => running.add(line));
  }
  for (const lines of alike.values()) {
    const heights = lines.map((line) => line.y).sort((a, b) => a - b);
    const usual = heights[heights.length >> 1];
    const level = lines.filter((line) => Math.abs(line.y - usual) < 6);
    if (new Set(level.map((line) => line.page)).size >= enough) level.forEach((line) => running.add(line));
  }
  return running;
}
