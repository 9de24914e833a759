// How long each kernel took on the GPU, by timestamps around every dispatch (which is then a pass of its own).

export interface KernelTime {
  readonly name: string;
  readonly calls: number;
  readonly ms: number;
}

export interface Profiler {
  /** The timestamps of the next dispatch. */
  next(name: string, encoder: GPUCommandEncoder): GPUComputePassTimestampWrites;
  /** Copies what has been measured out of the query set, at the end of an encoder or when the set is full. */
  resolve(encoder: GPUCommandEncoder): void;
  /** Sums by kernel since the last call, slowest first; everything recorded must have been submitted. */
  times(): Promise<KernelTime[]>;
}

const dispatches = 2048;

export function createProfiler(device: GPUDevice): Profiler {
  const queries = device.createQuerySet({ type: "timestamp", count: 2 * dispatches });
  const scratch = device.createBuffer({
    size: 16 * dispatches,
    usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
  });
  let names: string[] = [];
  let batches: { names: string[]; buffer: GPUBuffer }[] = [];

  const resolve = (encoder: GPUCommandEncoder) => {
    if (names.length === 0) return;
    const size = 16 * names.length;
    const buffer = device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
    encoder.resolveQuerySet(queries, 0, 2 * names.length, scratch, 0);
    encoder.copyBufferToBuffer(scratch, 0, buffer, 0, size);
    batches.push({ names, buffer });
    names = [];
  };
  return {
    next(name, encoder) {
      if (names.length === dispatches) resolve(encoder);
      const index = 2 * names.push(name) - 2;
      return { querySet: queries, beginningOfPassWriteIndex: index, endOfPassWriteIndex: index + 1 };
    },
    resolve,
    async times() {
      const sums = new Map<string, { calls: number; ms: number }>();
      const finished = batches;
      batches = [];
      for (const { names, buffer } of finished) {
        await buffer.mapAsync(GPUMapMode.READ);
        const stamps = new BigUint64Array(buffer.getMappedRange());
        names.forEach((name, i) => {
          const sum = sums.get(name) ?? { calls: 0, ms: 0 };
          sums.set(name, {
            calls: sum.calls + 1,
            ms: sum.ms + Number(stamps[2 * i + 1] - stamps[2 * i]) / 1e6,
          });
        });
        buffer.destroy();
      }
      return [...sums].map(([name, sum]) => ({ name, ...sum })).sort((a, b) => b.ms - a.ms);
    },
  };
}
