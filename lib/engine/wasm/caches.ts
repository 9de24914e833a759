// Keys and values for the kernels: arrays that stand in the program's memory are read where they are, others are copied.
import type { Tensor } from "../tensor.ts";
import { readBeyond } from "./attention.ts";
import type { Heap } from "./heap.ts";

export interface Caches {
  /** Zeros in the program's memory, which it reads without copying them. */
  zeros(length: number): Float32Array;
  /** Gives such an array up; others are none of its business. */
  free(array: Float32Array): void;
  /** Where the kernels find a cache [streams, kvHeads, positions, D]: what `ranges` shows of it is copied, or nothing. */
  place(name: string, cache: Tensor, ranges: Int32Array): number;
}

export function openCaches(memory: WebAssembly.Memory, heap: Heap): Caches {
  const own = new WeakMap<object, number>();
  const copies = new Map<string, { at: number; length: number }>();
  const roomFor = (name: string, length: number): number => {
    const known = copies.get(name);
    if (known && known.length >= length) return known.at;
    if (known) heap.give(known.at);
    const at = heap.take(4 * length + readBeyond);
    copies.set(name, { at, length });
    return at;
  };
  return {
    zeros(length) {
      const at = heap.take(4 * length + readBeyond), array = new Float32Array(memory.buffer, at, length);
      own.set(array, at);
      return array.fill(0);
    },
    free(array) {
      const at = own.get(array);
      if (at === undefined) return;
      own.delete(array);
      heap.give(at);
    },
    place(name, { storage, shape: [streams, heads, positions, size] }, ranges) {
      const from = storage as Float32Array, known = own.get(from);
      if (known !== undefined) return known;
      const at = roomFor(name, from.length), to = new Float32Array(memory.buffer, at, from.length);
      for (let part = 0; part < streams * heads; part++) {
        const stream = Math.floor(part / heads), begin = part * positions;
        const [lo, hi] = [begin + ranges[2 * stream], begin + ranges[2 * stream + 1]];
        to.set(from.subarray(lo * size, hi * size), lo * size);
      }
      return at;
    },
  };
}
