// Keys and values stand in the program's memory, which reads and writes them in place.
import type { Tensor } from "../tensor.ts";
import { readBeyond } from "./attention.ts";
import type { Heap } from "./heap.ts";

export interface Caches {
  /** An array in the program's memory, in which anything may stand. UserError where there is no room. */
  take(length: number): Float32Array;
  /** Gives such an array up; others are none of its business. */
  free(array: Float32Array): void;
  /** Where such a cache, or a part of it, stands. */
  place(cache: Tensor): number;
}

export function openCaches(memory: WebAssembly.Memory, heap: Heap): Caches {
  const own = new WeakSet<Float32Array>();
  /** A memory that has grown has another one. */
  const buffers = new WeakSet<object>();
  return {
    take(length) {
      const at = heap.take(4 * length + readBeyond);
      const array = new Float32Array(memory.buffer, at, length);
      buffers.add(array.buffer);
      own.add(array);
      return array;
    },
    free: (array) => own.delete(array) ? heap.give(array.byteOffset) : undefined,
    place({ storage }) {
      const { buffer, byteOffset } = storage as Float32Array;
      if (!buffers.has(buffer)) throw new Error("A cache that the program has no room for.");
      return byteOffset;
    },
  };
}
