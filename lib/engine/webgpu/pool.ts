// Buffers by size class, used again after they are freed, and the count of what is live.
// JavaScript's garbage collector does not see GPU memory: what nobody has used for a while is destroyed here.

interface Slot {
  readonly buffer: GPUBuffer;
  readonly capacity: number;
  /** Bytes asked for by whoever holds it now; 0 in the free list. */
  held: number;
  /** The submission in which it was last used. */
  lastUse: number;
}

export interface PoolMemory {
  /** Bytes held now. */
  readonly live: number;
  /** The most ever held at once. */
  readonly peak: number;
  /** How many buffers are held now. */
  readonly buffers: number;
  /** Bytes of all buffers that exist, free ones too. */
  readonly reserved: number;
}

export interface BufferPool {
  /** A buffer of at least `bytes`; its content is undefined. */
  acquire(bytes: number): GPUBuffer;
  /** Gives a buffer back. Commands that are already recorded may still use it: the queue keeps their order. */
  release(buffer: GPUBuffer): void;
  isLive(buffer: GPUBuffer): boolean;
  /** Notes that submission number `submission` uses the buffer. */
  touch(buffer: GPUBuffer, submission: number): void;
  lastUse(buffer: GPUBuffer): number;
  /** Destroys free buffers last used before that submission. */
  trim(before: number): void;
  memory(): PoolMemory;
  destroy(): void;
}

/** Four classes an octave: at most a fifth of a buffer is unused. */
export function sizeClass(bytes: number): number {
  const step = 2 ** Math.max(6, Math.floor(Math.log2(Math.max(bytes, 256))) - 2);
  return Math.ceil(Math.max(bytes, 256) / step) * step;
}

export function createPool(device: GPUDevice, usage: GPUBufferUsageFlags, maxBufferSize: number): BufferPool {
  const slots = new Map<GPUBuffer, Slot>();
  const free = new Map<number, Slot[]>();
  let live = 0, peak = 0, buffers = 0, reserved = 0;

  const create = (bytes: number): Slot => {
    const capacity = Math.min(sizeClass(bytes), maxBufferSize - maxBufferSize % 4);
    const slot = { buffer: device.createBuffer({ size: capacity, usage }), capacity, held: 0, lastUse: -1 };
    slots.set(slot.buffer, slot);
    reserved += capacity;
    return slot;
  };
  /** The smallest free buffer that is at most twice too large: batches of changing length share their buffers. */
  const find = (bytes: number): Slot | undefined => {
    let best: number | undefined;
    for (const [capacity, list] of free) {
      if (list.length > 0 && capacity >= bytes && capacity <= 2 * sizeClass(bytes) && !(best! <= capacity)) {
        best = capacity;
      }
    }
    return best === undefined ? undefined : free.get(best)!.pop();
  };
  const drop = (slot: Slot) => {
    slot.buffer.destroy();
    slots.delete(slot.buffer);
    reserved -= slot.capacity;
  };

  return {
    acquire(bytes) {
      const slot = find(bytes) ?? create(bytes);
      slot.held = Math.max(bytes, 4);
      live += slot.held;
      buffers++;
      peak = Math.max(peak, live);
      return slot.buffer;
    },
    release(buffer) {
      const slot = slots.get(buffer);
      if (!slot || slot.held === 0) throw new Error("webgpu: a tensor was freed twice.");
      live -= slot.held;
      buffers--;
      slot.held = 0;
      const list = free.get(slot.capacity);
      if (list) list.push(slot);
      else free.set(slot.capacity, [slot]);
    },
    isLive: (buffer) => (slots.get(buffer)?.held ?? 0) > 0,
    touch(buffer, submission) {
      const slot = slots.get(buffer);
      if (slot) slot.lastUse = submission;
    },
    lastUse: (buffer) => slots.get(buffer)?.lastUse ?? -1,
    trim(before) {
      for (const [capacity, list] of free) {
        const kept = list.filter((slot) => slot.lastUse >= before);
        if (kept.length === list.length) continue;
        list.filter((slot) => slot.lastUse < before).forEach(drop);
        if (kept.length > 0) free.set(capacity, kept);
        else free.delete(capacity);
      }
    },
    memory: () => ({ live, peak, buffers, reserved }),
    destroy() {
      for (const slot of slots.values()) slot.buffer.destroy();
      slots.clear();
      free.clear();
      live = buffers = reserved = 0;
    },
  };
}
