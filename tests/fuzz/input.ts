// The input of a number: decided by the seed, the reader and the number alone.
import { inputRandom } from "./random.ts";
import type { Files, Reader } from "./reader.ts";

/** One of the reader's seeds, mutated. */
export async function makeInput(
  reader: Reader,
  seeds: Files[],
  seed: number,
  number: number,
): Promise<Files> {
  const random = inputRandom(seed, reader.name, number);
  const files = new Map(seeds[Math.floor(random() * seeds.length)]);
  await reader.mutate(files, random);
  return files;
}
