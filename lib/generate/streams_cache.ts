// The keys and values of streams that come and go (CPU): rows in use stand behind one another, so that a step computes over
// these alone, and the room for positions follows the longest of them.
import type { Device } from "../engine/device.ts";
import type { Tensor } from "../engine/tensor.ts";
import type { ModelConfig } from "../models/config.ts";
import { cacheOf, type CacheSettings, createCache, freeCaches, grownTo, type KVCache } from "./cache.ts";

/** A cache whose rows are streams. */
export interface RowCache extends KVCache {
  /** Exactly so many rows, each with room for at least so many positions; what rows hold stays. */
  fit(rows: number, positions: number): void;
  /** Rows `to` get what row `from` has. */
  copy(from: number, to: readonly number[]): Promise<void>;
}

/** Rows are made in such steps. */
const rowStep = 4;

/** On a GPU all rows and positions are there from the start: programs are planned for one shape. */
export function createRowCache(
  device: Device,
  config: ModelConfig,
  settings: CacheSettings,
): RowCache {
  if (device.backend === "cpu") return rowsOnCpu(device, config, settings);
  const rows = settings.streams, cache = createCache(device, config, settings);
  return Object.assign(cache, {
    fit() {},
    copy: (from: number, to: readonly number[]) =>
      cache.reorder(Array.from({ length: rows }, (_, row) => to.includes(row) ? from : row)),
  });
}

function rowsOnCpu(device: Device, config: ModelConfig, { longest, room }: CacheSettings): RowCache {
  const { numHiddenLayers: layers, numKeyValueHeads: heads, headDim: size } = config;
  /** What is allocated: [allocated rows, heads, capacity, size] for the keys, then the values, of every layer. */
  const whole: Tensor[] = [];
  let allocated = 0, capacity = 0;
  /** The rows in use, as tensors in the same memory. */
  let used: Tensor[] = [], rows = 0;

  const part = ({ storage }: Tensor, first: number, count: number): Tensor => {
    const width = heads * capacity * size;
    const own = (storage as Float32Array).subarray(first * width, (first + count) * width);
    return { dtype: "f32", shape: [count, heads, capacity, size], storage: own };
  };
  const allocate = (moreRows: number, morePositions: number) => {
    const kept = Math.min(rows, moreRows) * heads, length = Math.min(capacity, morePositions) * size;
    const shape = [moreRows, heads, morePositions, size];
    for (let i = 0; i < 2 * layers; i++) {
      const old = whole[i], made = cacheOf(device, shape, room);
      const from = old?.storage as Float32Array, to = made.storage as Float32Array;
      for (let head = 0; head < kept; head++) {
        const start = head * capacity * size;
        to.set(from.subarray(start, start + length), head * morePositions * size);
      }
      whole[i] = made;
      if (old) freeCaches(device, [old], room);
    }
    allocated = moreRows;
    capacity = morePositions;
  };
  const fit = (wantedRows: number, positions: number) => {
    const neededRows = Math.max(1, Math.ceil(wantedRows / rowStep)) * rowStep, needed = grownTo(positions, 0);
    const tooSmall = neededRows > allocated || needed > capacity;
    // Computing over room that nobody needs any more costs time with every token, unless the program looks at what it needs.
    const tooLarge = !room && (2 * neededRows < allocated || 2 * needed < capacity);
    if (tooLarge) allocate(neededRows, needed);
    else if (tooSmall) {
      const wider = Math.min(grownTo(positions, capacity, room), grownTo(longest, 0));
      allocate(Math.max(neededRows, allocated), needed > capacity ? wider : capacity);
    } else if (wantedRows === rows) return;
    rows = wantedRows;
    used = whole.map((tensor) => part(tensor, 0, rows));
  };
  const write = (to: Float32Array, from: Float32Array, slots: Parameters<KVCache["write"]>[3]) => {
    slots.forEach(({ stream, position }, row) => {
      for (let head = 0; head < heads; head++) {
        const start = (row * heads + head) * size;
        const at = ((stream * heads + head) * capacity + position) * size;
        for (let i = 0; i < size; i++) to[at + i] = from[start + i];
      }
    });
  };
  return {
    get capacity() {
      return capacity;
    },
    get keys() {
      return used.slice(0, layers);
    },
    get values() {
      return used.slice(layers);
    },
    fit,
    reserve(positions) {
      if (positions > capacity) fit(rows, positions);
    },
    ofStream: (layer, row) => ({ k: part(whole[layer], row, 1), v: part(whole[layers + layer], row, 1) }),
    write(layer, k, v, slots) {
      write(whole[layer].storage as Float32Array, k.storage as Float32Array, slots);
      write(whole[layers + layer].storage as Float32Array, v.storage as Float32Array, slots);
    },
    copy(from, to) {
      const width = heads * capacity * size;
      for (const { storage } of whole) {
        for (const row of to) {
          (storage as Float32Array).copyWithin(row * width, from * width, (from + 1) * width);
        }
      }
      return Promise.resolve();
    },
    reorder: () => Promise.reject(new Error("Rows of streams are copied one at a time.")),
    free: () => freeCaches(device, whole, room),
  };
}
