// Cosine and sine tables of rotary positions, made once per model and length in double precision.
import type { Device } from "../engine/device.ts";
import type { Tensor } from "../engine/tensor.ts";
import { inverseFrequencies, type ModelConfig } from "./config.ts";

export interface RotaryTables {
  readonly cos: Tensor;
  readonly sin: Tensor;
  /** Positions that the tables cover. */
  readonly length: number;
}

const tables = new WeakMap<Device, Map<string, RotaryTables>>();

/** Tables for at least `length` positions; lengths grow in powers of two, so that few are ever made. */
export function rotaryTables(device: Device, config: ModelConfig, length: number): RotaryTables {
  const frequencies = inverseFrequencies(config);
  const key = frequencies.join();
  const cache = tables.get(device) ?? new Map<string, RotaryTables>();
  tables.set(device, cache);
  const found = cache.get(key);
  // Shorter tables stay: a generation that stands still between two tokens reads on from them.
  if (found && found.length >= length) return found;
  const covered = Math.max(64, 2 ** Math.ceil(Math.log2(length)));
  // Transformers multiplies position and frequency in float32.
  const angle = (i: number) =>
    Math.fround(Math.floor(i / frequencies.length) * frequencies[i % frequencies.length]);
  const table = (f: (x: number) => number) =>
    device.upload(
      Float32Array.from({ length: covered * frequencies.length }, (_, i) => f(angle(i))),
      [covered, frequencies.length],
      "f32",
    );
  const made = { cos: table(Math.cos), sin: table(Math.sin), length: covered };
  cache.set(key, made);
  return made;
}
