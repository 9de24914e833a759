// The readers by their names, each loaded only where it is wanted.
import type { Reader } from "./reader.ts";

/** Readers and how many of 100 inputs are theirs. */
export const SHARES: Record<string, number> = {
  safetensors: 10,
  shards: 3,
  model: 8,
  bnb: 5,
  config: 10,
  tokenizer: 14,
  template: 6,
  adapter: 8,
  checkpoint: 6,
  json: 7,
  jsonl: 7,
  csv: 7,
  tsv: 2,
  text: 2,
  gzip: 5,
  parquet: 10,
  pdf: 2,
};

export async function readerNamed(name: string): Promise<Reader> {
  if (!(name in SHARES)) throw new Error(`no reader "${name}"; there are ${Object.keys(SHARES).join(", ")}`);
  const module = await import(`./readers/${name}.ts`);
  return module.default;
}
