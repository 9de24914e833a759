// A .csv file: quotes, delimiters, line breaks and encodings out of order.
import { dataReader, ROWS } from "../data_reader.ts";
import { mutateBytes } from "../mutate_bytes.ts";
import { below, chance, pick, type Random } from "../random.ts";
import { decode, encode } from "../reader.ts";

const ODD = [
  '"',
  '""',
  ",",
  ";",
  "\t",
  "\n",
  "\r",
  "\r\n",
  "\0",
  "\uFEFF",
  "é",
  "'",
  " ",
  "\\",
  '",',
  ',"',
  "=cmd()",
  "x".repeat(5000),
];

/** Rows with one separator between fields, quoted where that is needed. */
export function table(separator: string): string {
  const names = ["instruction", "input", "output", "score"];
  const cell = (value: unknown) => `"${String(value).replaceAll('"', '""')}"`;
  const lines = ROWS.map((row) => names.map((name) => cell(row[name])).join(separator));
  return [names.join(separator), ...lines].join("\n") + "\n";
}

/** Odd characters put in, taken out or swapped where it matters: beside separators, quotes and line ends. */
export function mutateTable(bytes: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  if (chance(random, 0.25)) return mutateBytes(bytes, random);
  const parts = decode(bytes).split(/(?<=["\n,\t])/);
  for (let left = 1 + below(random, 3); left > 0; left--) {
    const at = below(random, parts.length), how = random();
    if (how < 0.5) parts.splice(at, 0, pick(random, ODD));
    else if (how < 0.7) parts.splice(at, 1 + below(random, 3));
    else if (how < 0.9) parts.splice(at, 0, ...parts.slice(at, at + 1 + below(random, 20)));
    else parts[0] = Array.from({ length: pick(random, [1, 50, 2000]) }, (_, i) => `c${i}`).join(",") + ",";
  }
  return encode(parts.join(""));
}

/** At least a header with two names and one more line, not counting what quotes hold. */
export function isTable(bytes: Uint8Array, separator: string): boolean {
  const [header, ...lines] = decode(bytes).split("\n");
  return header.includes(separator) && lines.some((line) => line.includes(separator));
}

export default dataReader({
  name: "csv",
  outer: "the first line and some later one hold a comma",
  file: "rows.csv",
  seeds: [table(","), "\uFEFF" + table(",").replaceAll("\n", "\r\n")],
  mutate: mutateTable,
  passes: (bytes) => isTable(bytes, ","),
});
