// Plain rows as a Markdown table that is also aligned in a terminal.
import { formatNumber } from "./format.ts";

/** Options of {@linkcode markdownTable}. */
export interface TableOptions {
  /** The columns to show, in order. Default: all fields in the order in which the rows bring them. */
  columns?: readonly string[];
  /** Digits after the point in columns that hold fractions. Default: 4. */
  digits?: number;
}

/**
 * Rows as a Markdown table: numbers to the right (whole ones with commas, a column with fractions with the same digits
 * throughout), everything else to the left. Missing values are empty cells; "|" and line breaks are escaped.
 *
 * @param rows plain objects; fields become columns
 * @returns lines separated by "\n", without one at the end; empty for no rows and no columns
 *
 * @example
 * ```ts
 * import { markdownTable } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const table = markdownTable([{ model: "base", rouge1: 0.1748 }, { model: "tuned", rouge1: 0.19677 }]);
 * assert.equal(table, [
 *   "| model | rouge1 |",
 *   "| ----- | -----: |",
 *   "| base  | 0.1748 |",
 *   "| tuned | 0.1968 |",
 * ].join("\n"));
 * ```
 */
export function markdownTable(rows: readonly object[], options: TableOptions = {}): string {
  const { columns = [...new Set(rows.flatMap(Object.keys))], digits = 4 } = options;
  if (columns.length === 0) return "";
  const table = columns.map((name) =>
    toColumn(name, rows.map((row) => (row as Record<string, unknown>)[name]), digits)
  );
  return Array.from(
    { length: rows.length + 2 },
    (_, line) => `| ${table.map((cells) => cells[line]).join(" | ")} |`,
  )
    .join("\n");
}

/** Heading, rule and cells of one column, all equally wide. */
function toColumn(name: string, values: unknown[], digits: number): string[] {
  const present = values.filter((value) => value !== undefined && value !== null);
  const numeric = present.length > 0 && present.every((value) => typeof value === "number");
  const format = numeric ? numberFormat(present as number[], digits) : String;
  const cells = [
    name,
    ...values.map((value) => value === undefined || value === null ? "" : format(value as number)),
  ]
    .map(escapeCell);
  const width = Math.max(3, ...cells.map(lettersIn));
  const [heading, ...rest] = cells.map((cell) => {
    const space = " ".repeat(width - lettersIn(cell));
    return numeric ? space + cell : cell + space;
  });
  return [heading, numeric ? "-".repeat(width - 1) + ":" : "-".repeat(width), ...rest];
}

/** One format for a column: whole numbers, a fixed count of digits, or (where that would show 0) significant digits. */
function numberFormat(values: number[], digits: number): (value: number) => string {
  if (values.every(Number.isInteger)) return formatNumber;
  const vanishes = values.some((value) => value !== 0 && Math.abs(value) < 10 ** -digits);
  const fixed = new Intl.NumberFormat("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return (value) => vanishes || !Number.isFinite(value) ? formatNumber(value) : fixed.format(value);
}

function escapeCell(text: string): string {
  return text.replaceAll("|", "\\|").replace(/\r?\n/g, "<br>");
}

function lettersIn(text: string): number {
  return [...text].length;
}
