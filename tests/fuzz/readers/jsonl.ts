// A .jsonl file of rows.
import { dataReader, ROWS } from "../data_reader.ts";
import { mutateBytes } from "../mutate_bytes.ts";
import { mutateJson } from "../mutate_json.ts";
import { below, chance, type Random } from "../random.ts";
import { decode, encode, isJsonObject } from "../reader.ts";

/** Mostly another value in one line, sometimes other bytes. */
export function mutateLines(bytes: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  if (chance(random, 0.2)) return mutateBytes(bytes, random);
  const lines = decode(bytes).trimEnd().split("\n"), at = below(random, lines.length);
  lines[at] = mutateJson(JSON.parse(lines[at]), random);
  if (chance(random, 0.1)) lines.splice(below(random, lines.length), 0, "\uFEFF", "", "  ");
  return encode(lines.join("\n"));
}

export default dataReader({
  name: "jsonl",
  outer: "some line is a JSON object",
  file: "rows.jsonl",
  seeds: [
    ROWS.map((row) => JSON.stringify(row) + "\n").join(""),
    ROWS.map((row) => JSON.stringify(row)).join("\r\n"),
  ],
  mutate: mutateLines,
  passes: (bytes) => decode(bytes).split("\n").some((line) => isJsonObject(encode(line))),
});
