// Keys and values for the kernels: arrays that stand in the program's memory are read where they are, others are copied.
import { UserError } from "../../errors.ts";
import type { Tensor } from "../tensor.ts";
import { readBeyond } from "./attention.ts";
import type { Heap } from "./heap.ts";

export interface Caches {
  /**
   * An array in the program's memory; it and parts of it are read without copying them. What stands in it is anything.
   * UserError where there is no room.
   */
  take(length: number): Float32Array;
  /** Gives such an array up; others are none of its business. */
  free(array: Float32Array): void;
  /** Where the kernels find a cache [streams, kvHeads, positions, D]: what `ranges` shows of it is copied, or nothing. */
  place(name: string, cache: Tensor, ranges: Int32Array): number;
}

export function openCaches(memory: WebAssembly.Memory, heap: Heap): Caches {
  const own = new WeakSet<Float32Array>();
  /** A memory that has grown has another one. */
  const buffers = new WeakSet<object>();
  const copies = new Map<string, { at: number; length: number }>();
  const room = (length: number): number => {
    try {
      return heap.take(4 * length + readBeyond);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new UserError(
        "Keys and values of so many and so long answers do not fit beside the weights into the 4 GB that decoding in 4 bits " +
          "has: ask for fewer or shorter answers at a time, or decode in 8 bits (decodeIn).",
      );
    }
  };
  const roomFor = (name: string, length: number): number => {
    const known = copies.get(name);
    if (known && known.length >= length) return known.at;
    if (known) heap.give(known.at);
    copies.delete(name);
    const at = room(length);
    copies.set(name, { at, length });
    return at;
  };
  return {
    take(length) {
      const at = room(length);
      const array = new Float32Array(memory.buffer, at, length);
      buffers.add(array.buffer);
      own.add(array);
      return array;
    },
    free: (array) => own.delete(array) ? heap.give(array.byteOffset) : undefined,
    place(name, { storage, shape: [streams, heads, positions, size] }, ranges) {
      const from = storage as Float32Array;
      if (buffers.has(from.buffer)) return from.byteOffset;
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
