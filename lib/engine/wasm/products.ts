// Products of a few rows with a weight [out, in]. Weights of 4 and of 7 bits stand as lib/engine/wasm/pack.ts lays them out: four
// rows make a group, whose rows are a vector's four lanes. Activations are quantised to signed bytes in blocks of 64.
import {
  type Code,
  f32,
  f32x4,
  float,
  func,
  get,
  i16x8,
  I32,
  i32,
  i32x4,
  i8x16,
  int,
  loop,
  set,
  tee,
  V128,
  v128,
  type WasmFunction,
  when,
} from "./assembler.ts";
import { advance, each, ROUNDER, ROUNDER_BITS, splat, sumsOfLanes, zero } from "./macros.ts";
import { type Format, formats, NF4_BYTES } from "./pack.ts";

/** A block of activations: 64 bytes, their scale (f32), and -64 times their sum (i32), which undoes the weights' offset of 64. */
export const ACTIVATION_BYTES = 80;
const SCALE_AT = 64, SUM_AT = 68;

/**
 * Rows of activations, and groups that are read side by side: `near` of them meet a number at once, and more keep the memory
 * busier. All numbers of the innermost loop have to fit into 15 registers: rows * near sums, 2 * near weights and 3 more.
 */
const tiles = [{ rows: 4, groups: 4, near: 2 }, { rows: 2, groups: 4, near: 4 }, {
  rows: 1,
  groups: 8,
  near: 4,
}];
/** Of the groups that are left over. */
const single = (rows: number): Tile => ({ rows, groups: 1, near: 1 });
type Tile = typeof tiles[number];

const tileName = (format: Format, { groups, rows }: Tile) => `${format}_${groups}_${rows}`;

/**
 * `tile(weight, activations, stride, out, outStride, times, blocks)`: `groups` parts of `times` groups each, one behind the
 * other. Strides are the bytes from row to row.
 */
function tile(format: Format, size: Tile): WasmFunction {
  const { groups, near, rows } = size, bytes = formats[format].bytes, repeated = v128.load32Splat;
  return func(
    tileName(format, size),
    7,
    (local, weight, activations, stride, out, outStride, times, blocks) => {
      const locals = (count: number, type: number) => Array.from({ length: count }, () => local(type));
      const [table, mask, x] = locals(3, V128), [left, step] = locals(2, I32);
      const parts = locals(groups, I32), outs = locals(groups, I32), rowsAt = locals(rows, I32);
      const even = locals(near, V128), odd = locals(near, V128);
      const sums = locals(near * rows, V128), totals = locals(groups * rows, V128);
      const levels = (part: number, v: number, even: number, odd: number): Code =>
        format === "nf4"
          ? [
            set(odd, v128.load(get(part), 16 * v)),
            set(even, i8x16.relaxedSwizzle(get(table), v128.and(i16x8.shrU(get(odd), int(4)), get(mask)))),
            set(odd, i8x16.relaxedSwizzle(get(table), v128.and(get(odd), get(mask)))),
          ]
          : [set(even, v128.load(get(part), 32 * v)), set(odd, v128.load(get(part), 32 * v + 16))];
      const eightWeights = (parts: number[], v: number): Code => [
        parts.map((part, g) => levels(part, v, even[g], odd[g])),
        rowsAt.map((row, m) =>
          [even, odd].map((weights, half) => [
            set(x, repeated(get(row), 8 * v + 4 * half)),
            parts.map((_, g) => {
              const sum = sums[g * rows + m];
              return set(sum, i32x4.dot(get(x), get(weights[g]), get(sum)));
            }),
          ])
        ),
      ];
      const scaled = (part: number, sums: number[], totals: number[]): Code => [
        set(x, v128.load(get(part), bytes - 16)),
        rowsAt.map((row, m) => {
          const scale = f32x4.mul(get(x), repeated(get(row), SCALE_AT));
          return set(totals[m], f32x4.madd(f32x4.fromI32(get(sums[m])), scale, get(totals[m])));
        }),
        advance(part, int(bytes)),
      ];
      const block = (first: number): Code => {
        const side = parts.slice(first, first + near), ofGroup = (g: number) => [g * rows, (g + 1) * rows];
        return [
          sums.map((sum, i) => set(sum, repeated(get(rowsAt[i % rows]), SUM_AT))),
          Array.from({ length: 8 }, (_, v) => eightWeights(side, v)),
          side.map((part, g) => scaled(part, sums.slice(...ofGroup(g)), totals.slice(...ofGroup(first + g)))),
        ];
      };
      return [
        set(step, i32.mul(i32.mul(get(times), get(blocks)), int(bytes))),
        format === "nf4"
          ? [set(table, v128.bytes(NF4_BYTES)), set(mask, v128.bytes(new Array(16).fill(15)))]
          : [],
        parts.map((part, g) => set(part, i32.add(get(weight), i32.mul(get(step), int(g))))),
        outs.map((at, g) => set(at, i32.add(get(out), i32.mul(get(times), int(16 * g))))),
        each(times, [
          totals.map((total) => set(total, zero)),
          rowsAt.map((row, m) => set(row, i32.add(get(activations), i32.mul(get(stride), int(m))))),
          set(left, get(blocks)),
          loop(
            Array.from({ length: groups / near }, (_, i) => block(i * near)),
            rowsAt.map((row) => advance(row, int(ACTIVATION_BYTES))),
            tee(left, i32.sub(get(left), int(1))),
          ),
          outs.map((at, g) => [
            totals.slice(g * rows, (g + 1) * rows).map((total, m) =>
              v128.store(i32.add(get(at), i32.mul(get(outStride), int(m))), get(total))
            ),
            advance(at, int(16)),
          ]),
        ]),
      ];
    },
  );
}

/** Where there are many rows, so many groups are read at a time: they stay in the nearest cache until the last row. */
const strip = 32;

/** `product(weight, activations, stride, out, outStride, groups, blocks, rows)`: as many tiles as it takes. */
function product(format: Format, index: (name: string) => Code): WasmFunction {
  return func(format, 8, (local, weight, activations, stride, out, outStride, groups, blocks, rows) => {
    const [times, done, some, from, to, left] = Array.from({ length: 6 }, () => local(I32));
    const bytes = i32.mul(get(blocks), int(formats[format].bytes));
    const run = (name: string, begin: Code, count: Code): Code => [
      i32.add(get(weight), i32.mul(begin, bytes)),
      [get(from), get(stride), i32.add(get(to), i32.mul(begin, int(16))), get(outStride)],
      [count, get(blocks), index(name)],
    ];
    const allRows = tiles.map((size) => {
      const fits = i32.gtS(get(left), int(size.rows - 1));
      return when(
        fits,
        loop(
          set(times, i32.divU(get(some), int(size.groups))),
          set(done, i32.mul(get(times), int(size.groups))),
          run(tileName(format, size), int(0), get(times)),
          run(tileName(format, single(size.rows)), get(done), i32.sub(get(some), get(done))),
          advance(from, i32.mul(get(stride), int(size.rows))),
          advance(to, i32.mul(get(outStride), int(size.rows))),
          advance(left, int(-size.rows)),
          fits,
        ),
      );
    });
    const isPart = i32.and(i32.gtS(get(rows), int(8)), i32.gtS(get(groups), int(strip)));
    return when(
      get(groups),
      loop(
        set(some, i32.select(int(strip), get(groups), isPart)),
        [set(from, get(activations)), set(to, get(out)), set(left, get(rows))],
        allRows,
        advance(weight, i32.mul(get(some), bytes)),
        advance(out, i32.mul(get(some), int(16))),
        set(groups, i32.sub(get(groups), get(some))),
        get(groups),
      ),
    );
  });
}

/** The products with packed weights, `nf4` and `seven`; `index` gives the call of a function that was yielded earlier. */
export function* packedProducts(index: (name: string) => Code): Generator<WasmFunction> {
  for (const format of Object.keys(formats) as Format[]) {
    for (const size of tiles) {
      yield tile(format, size);
      yield tile(format, single(size.rows));
    }
    yield product(format, index);
  }
}

/** `quantize(x, stride, out, outStride, blocks, rows)`: rows of 64 * blocks numbers to blocks of activations. */
export const quantize: WasmFunction = func(
  "quantize",
  6,
  (local, x, stride, out, outStride, blocks, rows) => {
    const from = local(I32), to = local(I32), left = local(I32), largest = local(V128), scale = local(V128);
    const ints = [local(V128), local(V128)], sum = local(V128);
    const vector = (i: number) => v128.load(get(from), 16 * i);
    const whole = (i: number) =>
      i32x4.sub(f32x4.add(f32x4.mul(vector(i), get(scale)), splat(ROUNDER)), i32x4.splat(int(ROUNDER_BITS)));
    const lanes = [0, 1, 2, 3].map((lane) => f32x4.extract(get(largest), lane));
    // Of every eight numbers first those at even places: NF4's first weights of a byte.
    const order = [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15];
    return each(rows, [
      [set(from, get(x)), set(to, get(out)), set(left, get(blocks))],
      loop(
        set(largest, splat(1e-30)), // zeros stay zeros: no division by 0
        Array.from({ length: 16 }, (_, i) => set(largest, i32x4.maxS(get(largest), f32x4.abs(vector(i))))),
        set(largest, f32x4.splat(f32.max(f32.max(lanes[0], lanes[1]), f32.max(lanes[2], lanes[3])))),
        set(scale, f32x4.div(splat(127), get(largest))),
        set(sum, zero),
        [0, 1, 2, 3].map((part) => [
          ints.map((local, half) => {
            const i = 4 * part + 2 * half;
            return set(local, i16x8.narrow(whole(i), whole(i + 1)));
          }),
          set(ints[0], i8x16.narrow(get(ints[0]), get(ints[1]))),
          set(ints[0], i8x16.shuffle(get(ints[0]), get(ints[0]), order)),
          set(sum, i32x4.dot(get(ints[0]), v128.bytes(new Array(16).fill(64)), get(sum))),
          v128.store(get(to), get(ints[0]), 16 * part),
        ]),
        f32.store(get(to), f32.mul(f32x4.extract(get(largest), 0), float(1 / 127)), SCALE_AT),
        i32.store(
          get(to),
          i32.sub(
            int(0),
            i32.add(
              i32.add(i32x4.extract(get(sum), 0), i32x4.extract(get(sum), 1)),
              i32.add(i32x4.extract(get(sum), 2), i32x4.extract(get(sum), 3)),
            ),
          ),
          SUM_AT,
        ),
        set(from, i32.add(get(from), int(256))),
        set(to, i32.add(get(to), int(ACTIVATION_BYTES))),
        tee(left, i32.sub(get(left), int(1))),
      ),
      set(x, i32.add(get(x), get(stride))),
      set(out, i32.add(get(out), get(outStride))),
    ]);
  },
);

/**
 * `plain(weight, x, stride, c, cStride, out, outStride, groups, inner, rows, alpha)`: out = alpha x W^T + c in f32, `groups` of
 * four rows of the weight, `inner` numbers each (a multiple of 4); `alpha` is an address, and so is c, or 0.
 */
export const plain: WasmFunction = func(
  "plain",
  11,
  (local, weight, x, stride, c, cStride, out, outStride, groups, inner, rows, alpha) => {
    const locals = (count: number, type: number) => Array.from({ length: count }, () => local(type));
    const [to, add, group, k, from, rowBytes] = locals(6, I32), weights = locals(4, I32);
    const sums = locals(4, V128), spare = locals(2, V128), value = local(V128), factor = local(V128);
    const next = [
      advance(x, get(stride)),
      advance(out, get(outStride)),
      set(c, i32.select(i32.add(get(c), get(cStride)), int(0), get(c))),
    ];
    return [
      [set(factor, v128.load32Splat(get(alpha))), set(rowBytes, i32.shl(get(inner), int(2)))],
      each(rows, [
        [set(weights[0], get(weight)), set(to, get(out)), set(add, get(c)), set(group, get(groups))],
        each(group, [
          weights.slice(1).map((at, i) => set(at, i32.add(get(weights[i]), get(rowBytes)))),
          sums.map((sum) => set(sum, zero)),
          [set(from, get(x)), set(k, i32.shrU(get(inner), int(2)))],
          each(k, [
            set(value, v128.load(get(from))),
            sums.map((sum, i) => set(sum, f32x4.madd(get(value), v128.load(get(weights[i])), get(sum)))),
            [from, ...weights].map((at) => advance(at, int(16))),
          ]),
          set(weights[0], get(weights[3])), // which is where the next group begins
          set(value, f32x4.mul(sumsOfLanes(sums, spare), get(factor))),
          when(get(c), set(value, f32x4.add(get(value), v128.load(get(add))))),
          v128.store(get(to), get(value)),
          [to, add].map((at) => advance(at, int(16))),
        ]),
        next,
      ]),
    ];
  },
);
