// Readers of rows: one file each, through loadDataset.
import { join } from "@std/path";
import { loadDataset, type LoadOptions } from "../../lib/data/load.ts";
import type { Random } from "./random.ts";
import { encode, type Files, type Reader } from "./reader.ts";

/** Answers, numbers, nested fields: rows as people have them. */
export const ROWS: Record<string, unknown>[] = Array.from({ length: 12 }, (_, i) => ({
  instruction: `What is a bond of class ${i}?`,
  input: i % 3 ? "" : 'Explain, "simply",\nin two lines; “quoted”.',
  output: "A loan to a company or a state, in pieces that are traded. ".repeat(1 + i % 4),
  score: i / 3,
  tags: ["rates", `t${i}`, null],
}));

/** A reader of one file; `mutate` gives the new content. */
export function dataReader(
  reader: Pick<Reader, "name" | "outer" | "allowance"> & {
    file: string;
    options?: LoadOptions;
    seeds: (Uint8Array<ArrayBuffer> | string)[] | Promise<Uint8Array<ArrayBuffer>[]>;
    mutate(
      bytes: Uint8Array<ArrayBuffer>,
      random: Random,
    ): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>;
    passes(bytes: Uint8Array<ArrayBuffer>): boolean | undefined;
  },
): Reader {
  const { file, options, mutate, passes } = reader;
  return {
    ...reader,
    async seeds(): Promise<Files[]> {
      const seeds = await reader.seeds;
      return seeds.map((seed) => new Map([[file, typeof seed === "string" ? encode(seed) : seed]]));
    },
    async mutate(files, random) {
      files.set(file, await mutate(files.get(file)!, random));
    },
    passesOuter: (files) => passes(files.get(file)!) === true,
    async read(folder) {
      const rows = await loadDataset(join(folder, file), options);
      return rows.at(0);
    },
  };
}
