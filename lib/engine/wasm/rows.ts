// Kernels on rows of f32: sums, gated activations, norms, rotary positions. Strides are the bytes from row to row.
import {
  type Code,
  f32,
  f32x4,
  float,
  func,
  get,
  I32,
  i32,
  int,
  loop,
  set,
  V128,
  v128,
  type WasmFunction,
  when,
} from "./assembler.ts";
import { advance, each, exp, splat, sumOfLanes, zero } from "./macros.ts";

/** Four columns at a time: `name(a, aStride, b, bStride, out, outStride, groups, rows)`. */
function byElement(name: string, write: (a: Code, b: Code, local: () => number) => Code): WasmFunction {
  return func(name, 8, (local, a, aStride, b, bStride, out, outStride, groups, rows) => {
    const [left, x, y, z] = [local(I32), local(I32), local(I32), local(I32)];
    const body = write(v128.load(get(x)), v128.load(get(y)), () => local(V128));
    return each(rows, [
      [set(x, get(a)), set(y, get(b)), set(z, get(out)), set(left, get(groups))],
      each(left, [v128.store(get(z), body), [x, y, z].map((at) => advance(at, int(16)))]),
      [advance(a, get(aStride)), advance(b, get(bStride)), advance(out, get(outStride))],
    ]);
  });
}

export const sum: WasmFunction = byElement("sum", (a, b) => f32x4.add(a, b));

/** x sigmoid(z(x)) * up. */
const gated = (name: string, argument: (x: Code) => Code): WasmFunction =>
  byElement(name, (gate, up, local) => {
    const x = local(), z = local(), rest = [local(), local()];
    // e^-z is computed first, then all of it in one expression on the stack.
    return [
      set(x, gate),
      set(z, f32x4.neg(argument(get(x)))),
      exp(z, rest),
      f32x4.mul(f32x4.div(get(x), f32x4.add(get(z), splat(1))), up),
    ];
  });

export const silu: WasmFunction = gated("silu", (x) => x);
/** x (1 + tanh u) / 2 = x sigmoid(2 u) with u = c (x + a x^3). */
export const geluTanh: WasmFunction = gated("gelu_tanh", (x) => {
  const cube = f32x4.mul(f32x4.mul(x, x), f32x4.mul(x, splat(0.044715)));
  return f32x4.mul(f32x4.add(x, cube), splat(2 * Math.sqrt(2 / Math.PI)));
});

/** up where gate is above 0, else 0. */
export const step: WasmFunction = byElement("step", (gate, up) => v128.and(f32x4.gt(gate, zero), up));

/**
 * `norm(x, stride, weight, out, outStride, length, parts, rows, constants)`: every row is `parts` of `length` numbers (a
 * multiple of 4), normed alone. At `constants`: 1 / length, eps, and what is added to the weight.
 */
export const norm: WasmFunction = func(
  "norm",
  9,
  (local, x, stride, weight, out, outStride, length, parts, rows, constants) => {
    const [from, to, w, left, part] = [local(I32), local(I32), local(I32), local(I32), local(I32)];
    const squares = local(V128), factor = local(V128), offset = local(V128), value = local(V128);
    const vectors = i32.shrU(get(length), int(2));
    const mean = f32.add(f32.mul(sumOfLanes(squares), f32.load(get(constants))), f32.load(get(constants), 4));
    return [
      set(offset, v128.load32Splat(get(constants), 8)),
      each(rows, [
        [set(from, get(x)), set(to, get(out)), set(part, get(parts))],
        each(part, [
          [set(squares, zero), set(w, get(from)), set(left, vectors)],
          each(left, [
            set(value, v128.load(get(w))),
            set(squares, f32x4.add(get(squares), f32x4.mul(get(value), get(value)))),
            advance(w, int(16)),
          ]),
          set(factor, f32x4.splat(f32.div(float(1), f32.sqrt(mean)))),
          [set(w, get(weight)), set(left, vectors)],
          each(left, [
            v128.store(
              get(to),
              f32x4.mul(
                f32x4.mul(v128.load(get(from)), get(factor)),
                f32x4.add(v128.load(get(w)), get(offset)),
              ),
            ),
            [from, to, w].map((at) => advance(at, int(16))),
          ]),
        ]),
        [advance(x, get(stride)), advance(out, get(outStride))],
      ]),
    ];
  },
);

/**
 * `rope(x, stride, cos, sin, out, outStride, heads, half, rows, begin, step)`: of all rows' heads, those numbered begin,
 * begin + step, ... `cos` and `sin` have a row of `half` numbers (a multiple of 4) for every row of x.
 */
export const rope: WasmFunction = func(
  "rope",
  11,
  (local, x, stride, cos, sin, out, outStride, heads, half, rows, begin, step) => {
    const [row, head, from, to, table, left, total] = Array.from({ length: 7 }, () => local(I32));
    const [c, s, a, b] = Array.from({ length: 4 }, () => local(V128));
    const second = i32.shl(get(half), int(2)), inHead = i32.mul(get(head), i32.shl(get(half), int(3)));
    const rotated = (at: Code, first: Code, other: Code): Code => v128.store(at, f32x4.add(first, other));
    return [
      set(total, i32.mul(get(rows), get(heads))),
      when(
        i32.ltS(get(begin), get(total)),
        loop(
          set(row, i32.divU(get(begin), get(heads))),
          set(head, i32.sub(get(begin), i32.mul(get(row), get(heads)))),
          set(from, i32.add(i32.add(get(x), i32.mul(get(row), get(stride))), inHead)),
          set(to, i32.add(i32.add(get(out), i32.mul(get(row), get(outStride))), inHead)),
          set(table, i32.mul(get(row), second)),
          set(left, i32.shrU(get(half), int(2))),
          each(left, [
            set(c, v128.load(i32.add(get(cos), get(table)))),
            set(s, v128.load(i32.add(get(sin), get(table)))),
            set(a, v128.load(get(from))),
            set(b, v128.load(i32.add(get(from), second))),
            rotated(get(to), f32x4.mul(get(a), get(c)), f32x4.neg(f32x4.mul(get(b), get(s)))),
            rotated(i32.add(get(to), second), f32x4.mul(get(b), get(c)), f32x4.mul(get(a), get(s))),
            [from, to, table].map((at) => advance(at, int(16))),
          ]),
          advance(begin, get(step)),
          i32.ltS(get(begin), get(total)),
        ),
      ),
    ];
  },
);

/** `take(x, stride, index, out, outStride, groups, rows)`: rows of x at the i32 numbers at `index`, four columns a group. */
export const take: WasmFunction = func("take", 7, (local, x, stride, index, out, outStride, groups, rows) => {
  const [from, to, left] = [local(I32), local(I32), local(I32)];
  return each(rows, [
    set(from, i32.add(get(x), i32.mul(i32.load(get(index)), get(stride)))),
    [set(to, get(out)), set(left, get(groups))],
    each(left, [v128.store(get(to), v128.load(get(from))), [from, to].map((at) => advance(at, int(16)))]),
    [advance(index, int(4)), advance(out, get(outStride))],
  ]);
});

/**
 * `store(x, stride, cache, part, slots, heads, vectors, rows, begin, step)`: rows begin, begin + step, ... of x, `heads` of so
 * many vectors, into the cache whose address stands at cache + part and whose positions at cache + 8: row t goes to
 * slots[t] = stream * positions + position.
 */
export const store: WasmFunction = func(
  "store",
  10,
  (local, x, stride, cache, part, slots, heads, vectors, rows, begin, step) => {
    const [slot, past, stream, from, to, next, head, left] = Array.from({ length: 8 }, () => local(I32));
    const bytes = i32.shl(get(vectors), int(4)), more = i32.ltS(get(begin), get(rows));
    const first = i32.add(
      i32.mul(i32.mul(get(stream), get(past)), i32.sub(get(heads), int(1))),
      get(slot),
    );
    return [
      set(past, i32.load(get(cache), 8)),
      when(
        more,
        loop(
          set(slot, i32.load(i32.add(get(slots), i32.shl(get(begin), int(2))))),
          set(stream, i32.divU(get(slot), get(past))),
          set(from, i32.add(get(x), i32.mul(get(begin), get(stride)))),
          // (stream * heads) * past + position, where slot = stream * past + position.
          set(next, i32.add(i32.load(i32.add(get(cache), get(part))), i32.mul(first, bytes))),
          set(head, get(heads)),
          each(head, [
            [set(to, get(next)), set(left, get(vectors))],
            each(left, [
              v128.store(get(to), v128.load(get(from))),
              [from, to].map((at) => advance(at, int(16))),
            ]),
            advance(next, i32.mul(get(past), bytes)),
          ]),
          advance(begin, get(step)),
          more,
        ),
      ),
    ];
  },
);
