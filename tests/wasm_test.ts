// The kernels of the decoder in WebAssembly against plain JavaScript in double precision, and the whole step against
// onnxruntime's exact one.
import assert from "node:assert/strict";
import { elementCount } from "../lib/engine/dtype.ts";
import { openDevice } from "../lib/engine/open.ts";
import { UserError } from "../lib/errors.ts";
import { NF4_LEVELS } from "../lib/engine/nf4/levels.ts";
import type { Tensor } from "../lib/engine/tensor.ts";
import { assemble, call, func, get, i32, int, type WasmFunction } from "../lib/engine/wasm/assembler.ts";
import { attention, headsSideBySide, readBeyond, scoreBytes } from "../lib/engine/wasm/attention.ts";
import { type Format, NF4_BYTES, packedBytes, packNF4, packSeven } from "../lib/engine/wasm/pack.ts";
import { ACTIVATION_BYTES, packedProducts, plain, quantize } from "../lib/engine/wasm/products.ts";
import { openCaches } from "../lib/engine/wasm/caches.ts";
import { openHeap } from "../lib/engine/wasm/heap.ts";
import { compileWasm, type WasmProgram } from "../lib/engine/wasm/program.ts";
import { geluTanh, norm, rope, silu, sum, take } from "../lib/engine/wasm/rows.ts";
import { barrier, openTeam, type Team } from "../lib/engine/wasm/team.ts";
import { f32, trace } from "../lib/engine/trace.ts";
import { matmul } from "../lib/engine/ops/matmul.ts";
import { createCache } from "../lib/generate/cache.ts";
import { decodeGraph } from "../lib/generate/graphs.ts";
import type { ModelConfig } from "../lib/models/config.ts";
import { attachLoRA } from "../lib/lora.ts";
import { loadModel } from "../lib/models/load.ts";
import { activeAdapter, headName, type Model } from "../lib/models/model.ts";
import { tensorsUnder, typesOf } from "../lib/models/parameters.ts";
import { rotaryTables } from "../lib/models/rotary.ts";

/** Numbers in [-1, 1), the same in every run. */
function numbers(seed: number, length: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

const attentionShapes = [[4, 2, 16, 2], [4, 4, 8, 1], [9, 3, 64, 3], [8, 1, 256, 4], [7, 1, 20, 7], [
  8,
  1,
  4,
  8,
]]
  .map(([heads, kvHeads, size, side]) => ({ heads, kvHeads, size, side, scale: 0.25 }));
const functions: WasmFunction[] = [quantize, plain, sum, silu, geluTanh, norm, rope, take];
functions.push(...attentionShapes.map((shape, i) => attention(`attention${i}`, shape)));
for (const made of packedProducts((name) => call(functions.findIndex((other) => other.name === name)))) {
  functions.push(made);
}
const memory = new WebAssembly.Memory({ initial: 32, maximum: 65536, shared: true });
const exported = new WebAssembly.Instance(new WebAssembly.Module(assemble(functions)), { js: { memory } })
  .exports as Record<string, (...numbers: number[]) => void>;

/** Puts arrays behind one another into the memory, and says where. */
function put(...arrays: (Float32Array | Int32Array)[]): number[] {
  let end = 0;
  return arrays.map((array) => {
    const at = end;
    new Uint8Array(memory.buffer).set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at);
    end += Math.ceil(array.byteLength / 64) * 64;
    return at;
  });
}

const floats = (at: number, length: number) => new Float32Array(memory.buffer, at, length).slice();

function close(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string) {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i] - expected[i]);
    assert.ok(difference <= tolerance, `${what}: number ${i} is ${actual[i]}, not ${expected[i]}`);
  }
}

for (const rows of [1, 2, 7, 8]) {
  for (const format of ["nf4", "seven"] as Format[]) {
    Deno.test(`products with ${format} weights, ${rows} rows: whole numbers exactly, scales to 1e-5`, () => {
      const out = 4 * 21, inner = 192, blocks = 3, stride = blocks * ACTIVATION_BYTES;
      const x = numbers(rows, rows * inner), [xAt, aAt] = put(x, new Float32Array(rows * stride / 4));
      exported.quantize(xAt, 4 * inner, aAt, stride, blocks, rows);
      const at = aAt + 64 * Math.ceil(rows * stride / 64), end = at + packedBytes(format, [out, inner]);
      const codes = Uint8Array.from(numbers(5, out * inner / 2), (value) => 128 + 127 * value);
      const absmax = numbers(6, out * blocks).map(Math.abs), dense = numbers(7, out * inner);
      if (format === "nf4") packNF4(memory.buffer, at, codes, absmax, [out, inner]);
      else packSeven(memory.buffer, at, dense, [out, inner]);
      exported[format](at, aAt, stride, end, 4 * out, out / 4, blocks, rows);
      // The same in plain numbers: whole ones, and the scale of each block.
      const blocksOf = (
        all: Float32Array,
        quantized: (value: number, largest: number, i: number) => number,
      ) => {
        const scales = Array.from(
          { length: all.length / 64 },
          (_, block) => Math.max(...all.subarray(64 * block, 64 * block + 64).map(Math.abs)),
        );
        return { whole: Array.from(all, (value, i) => quantized(value, scales[i >> 6], i)), scales };
      };
      const a = blocksOf(x, (value, largest) => Math.round(Math.fround(value * Math.fround(127 / largest))));
      const w = format === "seven"
        ? blocksOf(dense, (value, largest) => Math.round(value * (63 / largest)))
        : {
          whole: Array.from(dense, (_, i) => NF4_BYTES[i & 1 ? codes[i >> 1] & 15 : codes[i >> 1] >> 4] - 64),
          scales: [...absmax],
        };
      const step = 1 / 127 / (format === "nf4" ? 63.25 : 63);
      const expected = Array.from({ length: rows * out }, (_, i) => {
        const from = Math.floor(i / out) * blocks, to = (i % out) * blocks;
        let total = 0;
        for (let block = 0; block < blocks; block++) {
          let whole = 0;
          for (let k = 0; k < 64; k++) {
            whole += a.whole[64 * (from + block) + k] * w.whole[64 * (to + block) + k];
          }
          total += whole * a.scales[from + block] * w.scales[to + block] * step;
        }
        return total;
      });
      close(floats(end, rows * out), expected, 1e-5, format);
    });
  }
}

Deno.test("NF4's levels in 7 bits are off by at most .009 of the largest, by .0039 in the mean square", () => {
  const errors = Array.from(NF4_LEVELS, (level, i) => (NF4_BYTES[i] - 64) / 63.25 - level);
  assert.ok(Math.max(...errors.map(Math.abs)) < 0.009);
  assert.ok(Math.sqrt(errors.reduce((total, error) => total + error ** 2, 0) / 16) < 0.004);
});

Deno.test("the product in f32, with and without an addend, to 1e-5", () => {
  const out = 8, inner = 24, rows = 3, alpha = 0.5;
  const w = numbers(1, out * inner), x = numbers(2, rows * inner), c = numbers(3, rows * out);
  const [wAt, xAt, cAt, alphaAt, to] = put(w, x, c, Float32Array.of(alpha), new Float32Array(rows * out));
  for (const added of [true, false]) {
    exported.plain(wAt, xAt, 4 * inner, added ? cAt : 0, 4 * out, to, 4 * out, out / 4, inner, rows, alphaAt);
    const expected = Array.from({ length: rows * out }, (_, i) => {
      let total = 0;
      for (let k = 0; k < inner; k++) total += w[i % out * inner + k] * x[Math.floor(i / out) * inner + k];
      return alpha * total + (added ? c[i] : 0);
    });
    close(floats(to, rows * out), expected, 1e-5, `c: ${added}`);
  }
});

Deno.test("sums, gated activations, norms, rotations and rows to 2e-6 of their size", () => {
  const width = 32, rows = 3, stride = 4 * width;
  const a = numbers(1, rows * width).map((value) => 9 * value), b = numbers(2, rows * width);
  const settings = Float32Array.of(1 / 16, 1e-5, 1), index = Int32Array.of(2, 0, 1);
  const angles = numbers(3, rows * 8), [cos, sin] = [angles.map(Math.cos), angles.map(Math.sin)];
  const [A, B, S, I, C, N, out] = put(a, b, settings, index, cos, sin, new Float32Array(rows * width));
  const result = () => floats(out, rows * width),
    each = (f: (x: number, y: number, i: number) => number) => Array.from(a, (x, i) => f(x, b[i], i));
  exported.sum(A, stride, B, stride, out, stride, width / 4, rows);
  close(result(), each((x, y) => x + y), 2e-6, "sum");
  exported.sum(A, stride, B, 0, out, stride, width / 4, rows);
  close(result(), each((x, _, i) => x + b[i % width]), 2e-6, "bias");
  exported.silu(A, stride, B, stride, out, stride, width / 4, rows);
  close(result(), each((x, y) => x / (1 + Math.exp(-x)) * y), 4e-6, "silu");
  exported.gelu_tanh(A, stride, B, stride, out, stride, width / 4, rows);
  const gelu = (x: number) => x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
  close(result(), each((x, y) => gelu(x) * y), 4e-6, "gelu_tanh");
  exported.norm(A, stride, B, out, stride, 16, 2, rows, S);
  const normed = each((x, _, i) => {
    const part = a.subarray(i & ~15, (i & ~15) + 16);
    return x / Math.sqrt(part.reduce((total, value) => total + value ** 2, 0) / 16 + 1e-5) * (b[i % 16] + 1);
  });
  close(result(), normed, 4e-6, "norm");
  for (const begin of [0, 1]) exported.rope(A, stride, C, N, out, stride, 2, 8, rows, begin, 2);
  const rotated = each((x, _, i) => {
    const place = i % 16, at = Math.floor(i / width) * 8 + place % 8;
    return place < 8 ? x * cos[at] - a[i + 8] * sin[at] : x * cos[at] + a[i - 8] * sin[at];
  });
  close(result(), rotated, 4e-6, "rope");
  exported.take(A, stride, I, out, stride, width / 4, rows);
  close(result(), each((_, __, i) => a[index[Math.floor(i / width)] * width + i % width]), 0, "take");
});

for (const [index, { heads, kvHeads, size, side, scale }] of attentionShapes.entries()) {
  Deno.test(`attention of ${heads} heads, ${kvHeads} of keys, ${size} wide, ${side} side by side, to 2e-6, also to itself alone`, () => {
    const rows = 3, past = 13, seen = [0, 13, 4, 4, 2, 5], group = heads / kvHeads;
    const q = numbers(1, rows * heads * size), k = numbers(2, rows * kvHeads * size);
    const v = numbers(3, k.length), keys = numbers(4, k.length * past), values = numbers(5, keys.length);
    const room = new Float32Array(512), out = new Float32Array(q.length);
    // What stands behind the cache must not matter.
    const behind = new Float32Array(readBeyond / 4).fill(NaN);
    const slots = Int32Array.of(2, past + 5, 3 * past - 1); // of streams 0, 1 and 2
    const places = put(q, k, v, keys, behind, values, behind, Int32Array.from(seen), slots, room, room, out);
    const [Q, K, V, kAt, , vAt, , ranges, slotsAt, scores, cache, to] = places;
    new Int32Array(memory.buffer).set([kAt, vAt, past], cache / 4);
    assert.ok(scoreBytes(past, side) <= room.byteLength);
    const [wide, narrow] = [4 * heads * size, 4 * kvHeads * size];
    for (const begin of [0, 1]) {
      exported[`attention${index}`](
        ...[Q, wide, K, narrow, V, narrow, cache, slotsAt, ranges, to, wide, scores, rows, begin, 2],
      );
    }
    const expected = Array.from({ length: rows * heads }, (_, i) => {
      const row = Math.floor(i / heads), kvHead = row * kvHeads + Math.floor(i % heads / group);
      const vectors = (own: Float32Array, cached: Float32Array) => [
        ...Array.from(
          { length: seen[2 * row + 1] - seen[2 * row] },
          (_, p) => kvHead * past + seen[2 * row] + p,
        )
          .map((at) => cached.subarray(at * size, (at + 1) * size)),
        own.subarray(kvHead * size, (kvHead + 1) * size),
      ];
      const query = q.subarray(i * size, (i + 1) * size);
      const powers = vectors(k, keys).map((key) =>
        Math.exp(scale * key.reduce((total, value, d) => total + value * query[d], 0))
      );
      const all = powers.reduce((total, power) => total + power, 0), held = vectors(v, values);
      return Array.from(
        { length: size },
        (_, d) => held.reduce((total, value, p) => total + powers[p] / all * value[d], 0),
      );
    }).flat();
    close(floats(to, q.length), expected, 2e-6, "attention");
  });
}

Deno.test("as many heads side by side as leave every thread something", () => {
  const shapes = [[9, 3, 2], [32, 4, 2], [14, 2, 2], [8, 1, 2], [8, 1, 4], [16, 16, 2], [4, 1, 8], [
    64,
    1,
    2,
  ]];
  assert.deepEqual(
    shapes.map(([heads, kvHeads, threads]) => headsSideBySide(heads, kvHeads, threads)),
    [3, 8, 7, 4, 2, 1, 1, 8],
  );
});

const device = await openDevice({ backend: "cpu" });

/** One step's inputs: streams of different lengths over caches of noise. */
function stepInputs(model: Model, streams: number): Record<string, Tensor> {
  const { config } = model,
    { cos, sin } = rotaryTables(device, config, 64),
    all = Array.from({ length: streams }, (_, i) => i % 11);
  const integers = (values: number[], ...shape: number[]): Tensor => ({
    dtype: "i32",
    shape,
    storage: Int32Array.from(values),
  });
  const shape = [streams, config.numKeyValueHeads, 64, config.headDim];
  const caches = Array.from({ length: config.numHiddenLayers }, (_, layer) => layer).flatMap((layer) =>
    ["K", "V"].map((part, i): [string, Tensor] => [`cache${part}.${layer}`, {
      dtype: "f32",
      shape,
      storage: numbers(2 * layer + i, elementCount(shape)),
    }])
  );
  return {
    ids: integers(all.map((i) => 5 + 3 * i), streams),
    positions: integers(all.map((i) => 40 - 3 * i), streams),
    last: integers(all.map((_, i) => i), streams),
    ranges: integers(all.flatMap((i) => [i, 40 - 3 * i]), streams, 2),
    cos,
    sin,
    ...tensorsUnder(model, ""),
    ...Object.fromEntries(caches),
  };
}

function decoders(model: Model, threads: number) {
  const weights = tensorsUnder(model, ""), types = typesOf(weights);
  const setup = {
    config: model.config,
    lora: activeAdapter(model)?.config,
    table: headName(model),
    cacheOnDevice: false,
  };
  const constants = Object.fromEntries(Object.entries(weights).filter(([name]) => !/lora/.test(name)));
  const fast = compileWasm(decodeGraph(setup, types, { bits: 8, inPlace: true }), { constants, threads });
  assert.ok(fast);
  return { fast, exact: device.compile(decodeGraph(setup, types)) };
}

/** The inputs with caches in the program's memory, and where the tokens go in them: behind what they see. */
function inMemoryOf({ caches }: WasmProgram, inputs: Record<string, Tensor>): Record<string, Tensor> {
  const moved = Object.entries(inputs).map(([name, tensor]): [string, Tensor] => {
    if (!name.startsWith("cache")) return [name, tensor];
    const from = tensor.storage as Float32Array, storage = caches.take(from.length);
    storage.set(from);
    return [name, { ...tensor, storage: storage as Float32Array<ArrayBuffer> }];
  });
  const seen = inputs.ranges.storage as Int32Array, positions = inputs["cacheK.0"].shape[2];
  const slots = Int32Array.from({ length: seen.length / 2 }, (_, i) => i * positions + seen[2 * i + 1]);
  return { ...Object.fromEntries(moved), slots: { dtype: "i32", shape: [slots.length], storage: slots } };
}

/** A model with an adapter that does something. */
async function tuned(folder: string, r = 4): Promise<Model> {
  const model = attachLoRA(await loadModel(folder, { device, quantize: "nf4" }), { r, quiet: true });
  for (const [part, { storage }] of activeAdapter(model)!.parameters) {
    if (part.includes("lora_B")) {
      (storage as Float32Array).set(numbers(3, (storage as Float32Array).length).map((x) => x / 20));
    }
  }
  return model;
}

/** What stands in a cache at the slots: rows [kvHeads * D]. */
function atSlots({ storage, shape: [, heads, positions, size] }: Tensor, slots: Int32Array): Float32Array {
  const from = storage as Float32Array, rows = new Float32Array(slots.length * heads * size);
  slots.forEach((slot, row) => {
    const stream = Math.floor(slot / positions), position = slot % positions;
    for (let head = 0; head < heads; head++) {
      const at = ((stream * heads + head) * positions + position) * size;
      rows.set(from.subarray(at, at + size), (row * heads + head) * size);
    }
  });
  return rows;
}

const models: [string, string, number][] = [
  ["Llama", "examples/tiny/model", 0.05],
  ["Llama of the reports", "examples/finsight/model", 0.05],
  ["Qwen2", "examples/qwen2_risk/model", 0.05],
];
for (const [name, folder, tolerance] of models) {
  for (const threads of [1, 2]) {
    Deno.test(`${name} in NF4 with LoRA, ${threads} threads: a step as onnxruntime's exact one, to ${tolerance}`, async () => {
      const model = await tuned(folder, threads === 1 ? 4 : 6); // ranks are filled up to a multiple of four
      const { fast, exact } = decoders(model, threads), reference = await exact;
      for (const streams of [1, 3, 11]) {
        const inputs = stepInputs(model, streams), { logits, ...expected } = await reference.run(inputs);
        const inMemory = inMemoryOf(fast, inputs), actual = await fast.run(inMemory);
        assert.deepEqual(Object.keys(actual), ["logits"]);
        assert.deepEqual(actual.logits.shape, logits.shape);
        const near = (one: Float32Array, { storage }: Tensor, what: string) => {
          const other = storage as Float32Array;
          const difference = Math.sqrt(one.reduce((total, value, i) => total + (value - other[i]) ** 2, 0));
          const size = Math.sqrt(other.reduce((total, value) => total + value ** 2, 0));
          assert.ok(difference < tolerance * size, `${what}, ${streams} streams: ${difference / size}`);
        };
        near(actual.logits.storage as Float32Array, logits, "logits");
        for (const [cache, written] of Object.entries(expected)) {
          near(atSlots(inMemory[cache], inMemory.slots.storage as Int32Array), written, cache);
        }
      }
      fast.close();
      await assert.rejects(fast.run(stepInputs(model, 1)), /closed/);
      reference.close();
    });
  }

  Deno.test(`${name} in NF4 with LoRA: prompts read at once, or in parts, are those read token by token, to the bit`, async () => {
    const model = await tuned(folder), { fast } = decoders(model, 2), { config } = model;
    const prompts = [numbers(1, 13), numbers(2, 1), numbers(3, 30)]
      .map((prompt) => [...prompt].map((x) => Math.floor((x + 1) / 2 * config.vocabSize)));
    const tokens = prompts.flatMap((ids, stream) => ids.map((id, position) => ({ id, stream, position })));
    const integers = (values: number[], ...shape: number[]): Tensor => ({
      dtype: "i32",
      shape,
      storage: Int32Array.from(values),
    });
    /** The logits behind each prompt, and the caches; `parts` says which tokens go together. */
    const read = async (parts: (typeof tokens)[]) => {
      const inputs = inMemoryOf(fast, stepInputs(model, prompts.length)), found: Float32Array[] = [];
      for (const part of parts) {
        const ends = part.flatMap(({ stream, position }, i) =>
          position + 1 === prompts[stream].length ? [i] : []
        );
        const last = ends.length ? ends : [0], { vocabSize } = config;
        const { logits } = await fast.run({
          ...inputs,
          ids: integers(part.map(({ id }) => id), part.length),
          positions: integers(part.map(({ position }) => position), part.length),
          ranges: integers(part.flatMap(({ position }) => [0, position]), part.length, 2),
          slots: integers(part.map(({ stream, position }) => 64 * stream + position), part.length),
          last: integers(last, last.length),
        });
        const all = logits.storage as Float32Array;
        ends.forEach((end, i) => found[part[end].stream] = all.slice(i * vocabSize, (i + 1) * vocabSize));
      }
      const slots = Int32Array.from(tokens, ({ stream, position }) => 64 * stream + position);
      const caches = Object.keys(inputs).filter((name) => name.startsWith("cache"));
      return { found, caches: caches.map((name) => atSlots(inputs[name], slots)) };
    };
    const oneByOne = await read(tokens.map((token) => [token]));
    assert.equal(oneByOne.found.length, 3);
    assert.deepEqual(await read([tokens]), oneByOne);
    assert.deepEqual(await read([tokens.slice(0, 9), tokens.slice(9, 20), tokens.slice(20)]), oneByOne);
    fast.close();
  });
}

Deno.test("more threads than heads, and more tokens than there is room for, change nothing", async () => {
  const model = await tuned("examples/tiny/model");
  const [one, many] = [1, 20].map((threads) => decoders(model, threads).fast);
  const run = async (program: WasmProgram, streams: number) => {
    const inputs = inMemoryOf(program, stepInputs(model, streams)), { logits } = await program.run(inputs);
    Object.keys(inputs).filter((name) => name.startsWith("cache"))
      .forEach((name) => program.caches.free(inputs[name].storage as Float32Array));
    return logits.storage as Float32Array;
  };
  const expected = await run(one, 12);
  assert.deepEqual(await run(many, 12), expected);
  // Another plan and another team, in the same memory; the old one must not take part.
  const large = await run(one, 300);
  assert.deepEqual(large.slice(0, expected.length), expected);
  assert.deepEqual(await run(many, 300), large);
  assert.deepEqual(await run(many, 12), expected);
  one.close();
  many.close();
});

Deno.test("a run that finds no room says so, and the next one answers", async () => {
  const model = await tuned("examples/tiny/model"), { fast } = decoders(model, 2);
  const inputs = inMemoryOf(fast, stepInputs(model, 2)), { logits } = await fast.run(inputs);
  const ids = { dtype: "i32", shape: [1 << 20], storage: new Int32Array(1 << 20) } as Tensor;
  await assert.rejects(fast.run({ ...inputs, ids }), UserError);
  assert.equal(fast.outdated, false);
  assert.deepEqual((await fast.run(inputs)).logits.storage, logits.storage);
  fast.close();
});

Deno.test("caches that do not fit give back what they have taken", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
  const heap = openHeap(memory, 4096), room = openCaches(memory, heap);
  const config = { numHiddenLayers: 30, numKeyValueHeads: 3, headDim: 64 } as ModelConfig;
  const cache = createCache(device, config, { streams: 64, longest: 8192, room });
  assert.throws(() => cache.reserve(8192), UserError);
  cache.free();
  assert.equal(heap.take(2 ** 31), 4096);
});

Deno.test("what is no number stays none", () => {
  const x = numbers(1, 128), [xAt, to] = put(x, new Float32Array(64));
  for (const nan of [0x7fc00000, 0xffc00000 | 0]) {
    new Int32Array(memory.buffer)[xAt / 4 + 70] = nan;
    exported.quantize(xAt, 512, to, 160, 2, 1);
    assert.deepEqual([floats(to + 64, 1)[0] > 0, floats(to + 80 + 64, 1)[0]], [true, NaN]);
  }
});

Deno.test("room that is given back is used again: caches that grow take at most three times what they need", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true }), begin = 1000 * 64;
  const heap = openHeap(memory, begin), layers = 40;
  const [a, b, c] = [heap.take(100), heap.take(64), heap.take(65)];
  assert.deepEqual([a, b, c], [begin, begin + 128, begin + 192]);
  heap.give(a);
  heap.give(b);
  assert.equal(heap.take(192), begin, "two neighbours make one hole");
  heap.give(begin);
  heap.give(c);
  heap.give(c); // nobody's any more
  assert.equal(heap.take(64 * 5), begin, "the last hole is the end");
  heap.give(begin);
  let caches: number[] = [], bytes = 0;
  for (let positions = 64; positions <= 2048; positions += 64) {
    bytes = 256 * positions;
    caches = Array.from({ length: layers }, (_, layer) => {
      const at = heap.take(bytes);
      if (caches.length) heap.give(caches[layer]);
      return at;
    });
    const sorted = caches.toSorted((a, b) => a - b);
    assert.ok(sorted.every((at, i) => i === 0 || at >= sorted[i - 1] + bytes), "none overlap");
  }
  assert.ok(memory.buffer.byteLength - begin < 3 * layers * bytes);
});

Deno.test("a cache beyond the 4 GB is refused in a sentence, and leaves the others alone", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
  const caches = openCaches(memory, openHeap(memory, 4096)), small = caches.take(1000).fill(7);
  assert.throws(() => caches.take(2 ** 30), UserError);
  assert.deepEqual(small.slice(-2), Float32Array.of(7, 7));
  const part = { dtype: "f32", shape: [1, 1, 25, 20], storage: small.subarray(500) } as unknown as Tensor;
  assert.equal(caches.place(part), small.byteOffset + 2000);
  const elsewhere = { dtype: "f32", shape: [1, 1, 25, 20], storage: new Float32Array(500) } as Tensor;
  assert.throws(() => caches.place(elsewhere), /no room for/);
  caches.free(small);
  caches.free(small);
  assert.equal(caches.take(1000).byteOffset, small.byteOffset);
});

Deno.test("what no kernel does is left to onnxruntime", () => {
  const graph = trace({ a: f32("tokens", 64), b: f32(64, 64) }, ({ a, b }) => ({ y: matmul(a, b) }));
  assert.equal(compileWasm(graph, { constants: {}, threads: 1 }), undefined);
});

/** Two threads that come to a barrier twice, or the second one only once. */
function team(comes: 1 | 2): Team {
  const step = (name: string, times: number) =>
    func(
      name,
      1,
      (_, arrived) =>
        Array.from({ length: times }, (_, i) => [i32.add(get(arrived), int(2 * i + 2)), call(0)]),
    );
  const module = new WebAssembly.Module(assemble([barrier(3), step("step0", 2), step("step1", comes)]));
  return openTeam(module, new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true }), {
    threads: 2,
    arrivals: 4,
  });
}

Deno.test("threads meet in run after run, also when they have slept; one that never comes is an error, not a wait", async () => {
  const good = team(2);
  for (let run = 0; run < 300; run++) {
    if (run % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    good.run();
  }
  good.close();
  assert.throws(() => good.run(), /closed/);
  const bad = team(1);
  assert.throws(() => bad.run(), /died/);
  bad.close();
});
