// A .json file of rows.
import { dataReader, ROWS } from "../data_reader.ts";
import { mutateBytes } from "../mutate_bytes.ts";
import { mutateJson } from "../mutate_json.ts";
import { chance } from "../random.ts";
import { encode, parsed } from "../reader.ts";

const columns = Object.fromEntries(Object.keys(ROWS[0]).map((name) => [name, ROWS.map((row) => row[name])]));

export default dataReader({
  name: "json",
  outer: "the file is valid JSON",
  file: "rows.json",
  seeds: [JSON.stringify(ROWS, null, 2), JSON.stringify({ version: 1, data: ROWS }), JSON.stringify(columns)],
  mutate: (bytes, random) =>
    chance(random, 0.15) ? mutateBytes(bytes, random) : encode(mutateJson(parsed(bytes), random)),
  passes: (bytes) => parsed(bytes) !== undefined,
});
