// Resident memory of this process: what the operating system says, now and at its highest.
import process from "node:process";

/** Memory of this process in bytes. */
export interface ProcessMemory {
  /** Resident now. */
  rss: number;
  /** The highest resident so far. */
  peak: number;
}

// The kernel's mark of a process starts at that of the one that launched it (a Python of 6 GB hands on 6 GB), so it says
// something about this process only once it has risen.
const markAtStart = kernelMark();
let highestSeen = 0;

/**
 * Resident memory of this process in bytes, now and at its highest, as the system's own tools show it: with native libraries
 * and WebAssembly, and with the pages of program and libraries that other processes share (110 MB once onnxruntime is
 * loaded); GPU memory and what is swapped out are not in it. Needs no permission.
 *
 * `peak` is the kernel's own high-water mark (getrusage; on Linux VmHWM), which misses nothing between calls. Where that mark is
 * another's (the process that launched this one was larger) or is not kept, it is the highest `rss` that calls of this
 * function have seen: a lower bound.
 *
 * @example
 * ```ts
 * import { processMemory } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const { rss, peak } = processMemory();
 * assert.ok(rss > 1e6 && peak >= rss);
 * ```
 */
export function processMemory(): ProcessMemory {
  const { rss } = process.memoryUsage();
  const mark = kernelMark();
  highestSeen = Math.max(highestSeen, rss, mark > markAtStart ? mark : 0);
  return { rss, peak: highestSeen };
}

/** The kernel's high-water mark in bytes; 0 where none is kept. */
function kernelMark(): number {
  const mark = process.resourceUsage?.().maxRSS ?? 0;
  // It comes in KiB, but on macOS some versions of Deno hand on the system's bytes: then it is above the bytes in use.
  return mark >= process.memoryUsage().rss ? mark : mark * 1024;
}
