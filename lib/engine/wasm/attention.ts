// One new token of every stream attends to its stream's cached keys and to itself: see cachedAttention.
import {
  F32,
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

export interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  /** Of a head: a multiple of 4. */
  readonly size: number;
  readonly scale: number;
}

/**
 * `name(q, qStride, k, kStride, v, vStride, cache, ranges, out, outStride, scores, rows, begin, step)`: of all rows' heads those
 * numbered begin, begin + step, ... At `cache` stand the addresses of keys and values and the cache's positions; `scores` is
 * room for a number for every position and 8 more.
 */
export function attention(name: string, { heads, kvHeads, size, scale }: AttentionShape): WasmFunction {
  return func(
    name,
    14,
    (local, q, qStride, k, kStride, v, vStride, cache, ranges, out, outStride, scores, rows, begin, step) => {
      const [row, head, query, own, count, left, at, to, first] = Array.from({ length: 9 }, () => local(I32));
      const [total, ones, value, ...spare] = Array.from({ length: 5 }, () => local(V128));
      const largest = local(F32), score = local(F32);
      const vectors = size / 4, chunk = vectors % 4 === 0 ? 4 : 1;
      const sums = Array.from({ length: chunk }, () => local(V128));
      const group = heads / kvHeads, kvHead = i32.divU(get(head), int(group));
      const past = i32.load(get(cache), 8);
      const cached = (part: number) =>
        i32.add(
          i32.load(get(cache), part),
          i32.mul(
            i32.add(
              i32.mul(i32.add(i32.mul(get(row), int(kvHeads)), kvHead), past),
              get(first),
            ),
            int(4 * size),
          ),
        );
      const rowOf = (x: number, stride: number, head: typeof kvHead) =>
        i32.add(i32.add(get(x), i32.mul(get(row), get(stride))), i32.mul(head, int(4 * size)));
      const scoreOf = (key: number) => [
        set(total, zero),
        Array.from(
          { length: vectors },
          (_, i) =>
            set(
              total,
              f32x4.add(get(total), f32x4.mul(v128.load(get(query), 16 * i), v128.load(get(key), 16 * i))),
            ),
        ),
        set(score, f32.mul(sumOfLanes(total), float(scale))),
        f32.store(get(to), get(score)),
        set(largest, f32.max(get(largest), get(score))),
        advance(to, int(4)),
      ];
      const weighted = (value: number) => [
        set(spare[0], v128.load32Splat(get(to))),
        sums.map((sum, i) =>
          set(sum, f32x4.add(get(sum), f32x4.mul(get(spare[0]), v128.load(get(value), 16 * i))))
        ),
        advance(to, int(4)),
      ];
      const oneHead = [
        set(row, i32.divU(get(begin), int(heads))),
        set(head, i32.sub(get(begin), i32.mul(get(row), int(heads)))),
        set(first, i32.load(i32.add(get(ranges), i32.mul(get(row), int(8))))),
        set(count, i32.sub(i32.load(i32.add(get(ranges), i32.mul(get(row), int(8))), 4), get(first))),
        [set(query, rowOf(q, qStride, get(head))), set(own, rowOf(k, kStride, kvHead))],
        [set(largest, float(-1e30)), set(to, get(scores)), set(at, cached(0)), set(left, get(count))],
        each(left, [scoreOf(at), advance(at, int(4 * size))]),
        scoreOf(own),
        // The last vector's rest counts nothing.
        [0, 16].map((offset) => v128.store(get(to), splat(-1e30), offset)),
        [set(to, get(scores)), set(left, i32.shrU(i32.add(get(count), int(4)), int(2))), set(ones, zero)],
        each(left, [
          set(value, f32x4.sub(v128.load(get(to)), f32x4.splat(get(largest)))),
          exp(value, spare),
          set(ones, f32x4.add(get(ones), get(value))),
          v128.store(get(to), get(value)),
          advance(to, int(16)),
        ]),
        set(ones, f32x4.splat(f32.div(float(1), sumOfLanes(ones)))),
        set(own, rowOf(v, vStride, kvHead)),
        set(query, rowOf(out, outStride, get(head))),
        Array.from({ length: vectors / chunk }, (_, part) => [
          sums.map((sum) => set(sum, zero)),
          [set(to, get(scores)), set(left, get(count))],
          set(at, i32.add(cached(4), int(16 * chunk * part))),
          each(left, [weighted(at), advance(at, int(4 * size))]),
          [set(at, i32.add(get(own), int(16 * chunk * part))), weighted(at)],
          sums.map((sum, i) =>
            v128.store(get(query), f32x4.mul(get(sum), get(ones)), 16 * (chunk * part + i))
          ),
        ]),
        advance(begin, get(step)),
      ];
      const more = i32.ltS(get(begin), i32.mul(get(rows), int(heads)));
      return when(more, loop(oneHead, more));
    },
  );
}
