// Keys and values of what each stream has seen: per layer [streams, kvHeads, positions, D]. On WebGPU programs write them
// in place; on the CPU JavaScript does, as onnxruntime would copy the whole cache for every token.
import type { Device, Program } from "../engine/device.ts";
import { elementCount } from "../engine/dtype.ts";
import { gatherRows } from "../engine/ops/gather_rows.ts";
import type { Tensor } from "../engine/tensor.ts";
import { f32, i32, trace } from "../engine/trace.ts";
import type { ModelConfig } from "../models/config.ts";
import { compiled } from "../train/programs.ts";

/** Where a token's keys and values go. */
export interface Slot {
  readonly stream: number;
  readonly position: number;
}

export interface KVCache {
  /** Positions that there is room for. */
  readonly capacity: number;
  readonly keys: Tensor[];
  readonly values: Tensor[];
  /** Makes room for `positions`. */
  reserve(positions: number): void;
  /** One stream's part of a layer, as a cache of its own in the same memory (CPU). */
  ofStream(layer: number, stream: number): { k: Tensor; v: Tensor };
  /** Copies rows [slots.length, kvHeads * D] of one layer in (CPU). */
  write(layer: number, k: Tensor, v: Tensor, slots: readonly Slot[]): void;
  /** Stream s gets what stream parents[s] has. */
  reorder(parents: readonly number[]): Promise<void>;
  free(): void;
}

/** The CPU computes over the whole capacity, so there it grows in such steps; by its own size where a program does not. */
const growth = 64;

/** The capacity that a cache grows to. */
export function grownTo(positions: number, capacity: number, room?: Program["caches"]): number {
  return Math.ceil(Math.max(positions, room ? 2 * capacity : 0) / growth) * growth;
}

/** An array for a cache, in a program's memory where it has room; freed with freeCaches. */
export function cacheOf(device: Device, shape: readonly number[], room: Program["caches"]): Tensor {
  if (!room) return device.zeros(shape, "f32");
  const storage = room.take(elementCount(shape)) as Tensor["storage"];
  return { dtype: "f32", shape, storage };
}

export function freeCaches(device: Device, caches: readonly Tensor[], room: Program["caches"]): void {
  if (room) caches.forEach(({ storage }) => room.free(storage as Float32Array));
  else device.free(...caches);
}

export interface CacheSettings {
  readonly streams: number;
  /** Positions that may come. */
  readonly longest: number;
  /** Where arrays are made (CPU), if not on the device. */
  readonly room?: Program["caches"];
}

export function createCache(
  device: Device,
  config: ModelConfig,
  { streams, longest, room }: CacheSettings,
): KVCache {
  const { numHiddenLayers: layers, numKeyValueHeads: heads, headDim: size } = config;
  /** All of them, or none. */
  const allocate = (capacity: number, count: number): Tensor[] => {
    const made: Tensor[] = [];
    try {
      while (made.length < count) made.push(cacheOf(device, [streams, heads, capacity, size], room));
    } catch (error) {
      freeCaches(device, made, room);
      throw error;
    }
    return made;
  };
  let capacity = grownTo(device.backend === "cpu" ? 1 : longest, 0);
  const first = allocate(capacity, 2 * layers);
  let keys = first.slice(0, layers), values = first.slice(layers);

  const grown = (old: Tensor[], wider: number) => {
    const made = allocate(wider, layers);
    old.forEach(({ storage }, layer) => {
      const from = storage as Float32Array, to = made[layer].storage as Float32Array;
      for (let head = 0; head < streams * heads; head++) {
        to.set(from.subarray(head * capacity * size, (head + 1) * capacity * size), head * wider * size);
      }
    });
    freeCaches(device, old, room);
    return made;
  };
  const copy = (to: Float32Array, from: Float32Array, slots: readonly Slot[]) => {
    slots.forEach(({ stream, position }, row) => {
      for (let head = 0; head < heads; head++) {
        // A loop: a view for every row would take longer than the copying.
        const start = (row * heads + head) * size,
          at = ((stream * heads + head) * capacity + position) * size;
        for (let i = 0; i < size; i++) to[at + i] = from[start + i];
      }
    });
  };
  return {
    get capacity() {
      return capacity;
    },
    get keys() {
      return keys;
    },
    get values() {
      return values;
    },
    reserve(positions) {
      if (positions <= capacity) return;
      const wider = Math.min(grownTo(positions, capacity, room), grownTo(longest, 0));
      keys = grown(keys, wider);
      values = grown(values, wider);
      capacity = wider;
    },
    ofStream(layer, stream) {
      const part = ({ dtype, storage }: Tensor): Tensor => {
        const length = heads * capacity * size;
        const own = (storage as Float32Array).subarray(stream * length, (stream + 1) * length);
        return { dtype, shape: [1, heads, capacity, size], storage: own };
      };
      return { k: part(keys[layer]), v: part(values[layer]) };
    },
    write(layer, k, v, slots) {
      copy(keys[layer].storage as Float32Array, k.storage as Float32Array, slots);
      copy(values[layer].storage as Float32Array, v.storage as Float32Array, slots);
    },
    async reorder(parents) {
      if (parents.every((parent, stream) => parent === stream)) return;
      if (device.backend === "cpu") return void [...keys, ...values].forEach((cache) => take(cache, parents));
      keys = await taken(device, keys, parents);
      values = await taken(device, values, parents);
    },
    free: () => freeCaches(device, [...keys, ...values], room),
  };
}

/** On the CPU in place. */
function take({ storage, shape: [streams] }: Tensor, parents: readonly number[]): void {
  const to = storage as Float32Array, from = to.slice(), size = to.length / streams;
  parents.forEach((parent, stream) => {
    if (parent !== stream) to.set(from.subarray(parent * size, (parent + 1) * size), stream * size);
  });
}

/** On a GPU as new tensors, each in place of an old one, which is freed. */
async function taken(device: Device, caches: Tensor[], parents: readonly number[]): Promise<Tensor[]> {
  const index = device.upload(Int32Array.from(parents), [parents.length], "i32");
  const types = { cache: f32("streams", "width"), index: i32("streams") };
  const program = await compiled(
    device,
    "reorder cache",
    () => trace(types, ({ cache, index }) => ({ taken: gatherRows(cache, index) })),
    { light: true },
  );
  const made: Tensor[] = [];
  for (const { dtype, shape, storage } of caches) {
    const width = shape.slice(1).reduce((product, size) => product * size, 1);
    const { taken } = await program.run({ cache: { dtype, shape: [shape[0], width], storage }, index });
    made.push({ ...taken, shape });
    device.free({ dtype, shape, storage }); // at once: there may be no room for all twice
  }
  device.free(index);
  return made;
}
