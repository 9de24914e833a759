// Room behind the weights in a program's memory: for values between kernels, and for the caches.
import { UserError } from "../../errors.ts";

const PAGE = 65536;

export interface Heap {
  /** An address, a multiple of 64; the memory grows where it has to. UserError where 4 GB do not do. */
  take(bytes: number): number;
  give(at: number): void;
}

interface Hole {
  at: number;
  bytes: number;
}

export function openHeap(memory: WebAssembly.Memory, begin: number): Heap {
  /** In order of their addresses, no two of them side by side. */
  const holes: Hole[] = [], taken = new Map<number, number>();
  let end = begin;
  return {
    take(wanted) {
      const bytes = Math.ceil(wanted / 64) * 64, i = holes.findIndex((hole) => hole.bytes >= bytes);
      let at = end;
      if (i >= 0) {
        const hole = holes[i];
        at = hole.at;
        hole.at += bytes;
        hole.bytes -= bytes;
        if (hole.bytes === 0) holes.splice(i, 1);
      } else {
        const missing = Math.ceil((end + bytes - memory.buffer.byteLength) / PAGE);
        if (missing > 0) grow(memory, missing);
        end += bytes;
      }
      taken.set(at, bytes);
      return at;
    },
    give(at) {
      const bytes = taken.get(at);
      if (bytes === undefined) return;
      taken.delete(at);
      const next = holes.findIndex((hole) => hole.at > at), i = next < 0 ? holes.length : next;
      holes.splice(i, 0, { at, bytes });
      joinNext(holes, i);
      joinNext(holes, i - 1);
      const last = holes.at(-1)!;
      if (last.at + last.bytes === end) end = holes.pop()!.at;
    },
  };
}

function grow(memory: WebAssembly.Memory, pages: number): void {
  try {
    memory.grow(pages);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UserError(
      "So many and so long answers do not fit beside the weights into the 4 GB that decoding in 4 bits has: ask for fewer or " +
        "shorter ones at a time, or decode in 8 bits (decodeIn).",
    );
  }
}

/** One of a hole and the next where they touch. */
function joinNext(holes: Hole[], i: number): void {
  const [hole, next] = [holes[i], holes[i + 1]];
  if (!hole || !next || hole.at + hole.bytes !== next.at) return;
  hole.bytes += next.bytes;
  holes.splice(i + 1, 1);
}
