// Rows packed with gzip: damaged, with damaged rows inside, and bombs.
import { gunzipSync, gzipSync } from "node:zlib";
import { dataReader, ROWS } from "../data_reader.ts";
import { mutateBytes } from "../mutate_bytes.ts";
import { chance } from "../random.ts";
import { encode } from "../reader.ts";
import { mutateLines } from "./jsonl.ts";

const packed = (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes, { level: 6 }));

export default dataReader({
  name: "gzip",
  outer: "the file begins as gzip does",
  file: "rows.jsonl.gz",
  allowance: 160 << 20, // 64 MiB may always be unpacked, and held as text once
  seeds: [packed(encode(ROWS.map((row) => JSON.stringify(row) + "\n").join("")))],
  mutate(bytes, random) {
    if (chance(random, 0.5)) return mutateBytes(bytes, random);
    if (chance(random, 0.95)) return packed(mutateLines(new Uint8Array(gunzipSync(bytes)), random));
    return packed(new Uint8Array(120 << 20).fill(chance(random, 0.5) ? 32 : 97)); // a bomb: white space, or one endless line
  },
  passes: (bytes) => bytes[0] === 0x1f && bytes[1] === 0x8b,
});
