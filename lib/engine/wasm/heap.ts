// Room behind the weights in a program's memory: for values between kernels, and for the caches.
const PAGE = 65536;

export interface Heap {
  /** An address, a multiple of 64; the memory grows where it has to. RangeError where 4 GB do not do. */
  take(bytes: number): number;
  give(at: number): void;
}

export function openHeap(memory: WebAssembly.Memory, begin: number): Heap {
  const free: { at: number; bytes: number }[] = [], taken = new Map<number, number>();
  let end = begin;
  return {
    take(wanted) {
      const bytes = Math.ceil(wanted / 64) * 64;
      const found = free.findIndex((other) => other.bytes >= bytes && other.bytes <= 2 * bytes);
      if (found >= 0) {
        const [{ at, bytes }] = free.splice(found, 1);
        taken.set(at, bytes);
        return at;
      }
      const missing = Math.ceil((end + bytes - memory.buffer.byteLength) / PAGE);
      if (missing > 0) memory.grow(missing);
      const at = end;
      end += bytes;
      taken.set(at, bytes);
      return at;
    },
    give(at) {
      const bytes = taken.get(at);
      if (bytes === undefined) return;
      taken.delete(at);
      free.push({ at, bytes });
    },
  };
}
