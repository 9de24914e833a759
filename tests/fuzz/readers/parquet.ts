// Parquet of every codec: footers, page headers and pages that lie.
import { dataReader } from "../data_reader.ts";
import { folderFiles } from "../mutate_folder.ts";
import { mutateBytes, patchBytes } from "../mutate_bytes.ts";
import { chance } from "../random.ts";
import { decode } from "../reader.ts";

type Bytes = Uint8Array<ArrayBuffer>;

async function seeds(): Promise<Bytes[]> {
  const files = await folderFiles("data_files", [".parquet"]);
  files.delete("bomb.parquet");
  return [...files.values()];
}

/** Where the footer begins; undefined where the outer parse fails. */
function footer(bytes: Bytes): number | undefined {
  const end = bytes.length - 8;
  if (end < 4 || decode(bytes.subarray(0, 4)) !== "PAR1" || decode(bytes.subarray(-4)) !== "PAR1") {
    return undefined;
  }
  const begin = end - new DataView(bytes.buffer).getUint32(end, true);
  return begin >= 4 ? begin : undefined;
}

export default dataReader({
  name: "parquet",
  outer: 'the file begins and ends with "PAR1" and its footer lies within',
  file: "rows.parquet",
  allowance: 160 << 20, // 64 MiB may always be unpacked
  seeds: seeds(),
  mutate(bytes, random) {
    if (chance(random, 0.15)) return mutateBytes(bytes, random);
    const begin = footer(bytes)!;
    if (chance(random, 0.5)) return patchBytes(bytes, random, begin, bytes.length - 8); // thrift: schema, counts, offsets
    if (chance(random, 0.5)) return patchBytes(bytes, random, 4, Math.min(begin, 60)); // the first page's header
    return patchBytes(bytes, random, 4, begin);
  },
  passes: (bytes) => footer(bytes) !== undefined,
});
