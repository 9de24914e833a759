// How much memory one input takes. Two numbers, of which the greater counts:
// - the growth of the process's resident memory at its highest (Linux: VmHWM, set back before each input): everything that
//   was touched, by V8 or by native code, however briefly. Garbage of earlier inputs that is used again would hide as much;
//   it is swept every 64 inputs, and V8 is held to a small heap (--max-old-space-size), beyond which it dies: a failure.
// - the largest typed array or buffer that was asked for, since zeroed pages that nobody touches are never resident.

/** Begins to measure; the function gives the growth in bytes since. Elsewhere than on Linux only what is left at the end. */
export function peakMemory(): () => number {
  try {
    Deno.writeTextFileSync("/proc/self/clear_refs", "5");
    const before = status("VmRSS");
    return () => Math.max(0, status("VmHWM") - before);
  } catch {
    const before = Deno.memoryUsage().rss;
    return () => Math.max(0, Deno.memoryUsage().rss - before);
  }
}

function status(field: string): number {
  const text = Deno.readTextFileSync("/proc/self/status");
  return 1024 * Number(new RegExp(`${field}:\\s+(\\d+)`).exec(text)![1]);
}

/** Open file descriptors; 0 where the system does not tell. */
export function openFiles(): number {
  try {
    return [...Deno.readDirSync("/proc/self/fd")].length;
  } catch {
    return 0;
  }
}

/** Watches every typed array and buffer made from here on by its length. */
export function countRequests(): { reset(): void; largest(): number } {
  let largest = 0;
  const widths = {
    ArrayBuffer: 1,
    Uint8Array: 1,
    Int8Array: 1,
    Uint8ClampedArray: 1,
    Uint16Array: 2,
    Int16Array: 2,
    Uint32Array: 4,
    Int32Array: 4,
    Float32Array: 4,
    Float64Array: 8,
    BigInt64Array: 8,
    BigUint64Array: 8,
  };
  const globals = globalThis as unknown as Record<string, new (...args: unknown[]) => object>;
  for (const [name, width] of Object.entries(widths)) {
    globals[name] = new Proxy(globals[name], {
      construct(target, args, newTarget) {
        if (typeof args[0] === "number") largest = Math.max(largest, args[0] * width);
        return Reflect.construct(target, args, newTarget);
      },
    });
  }
  return { reset: () => void (largest = 0), largest: () => largest };
}
