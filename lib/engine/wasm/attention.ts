// Tokens attend to their stream's cached keys, which may be those of tokens computed with them, and to themselves: see
// cachedAttention. Heads that share keys are computed side by side, with four positions at a time.
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
import { advance, each, exp, splat, sumOfLanes, sumsOfLanes, zero } from "./macros.ts";

export interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  /** Of a head: a multiple of 4. */
  readonly size: number;
  readonly scale: number;
  /** Heads that are computed side by side: a divisor of heads / kvHeads. */
  readonly side: number;
}

/** The most heads side by side, at most 8, that leave every thread something to do for one token. */
export function headsSideBySide(heads: number, kvHeads: number, threads: number): number {
  const group = heads / kvHeads;
  for (let side = Math.min(group, 8); side > 1; side--) {
    if (group % side === 0 && heads / side >= threads) return side;
  }
  return 1;
}

/** Bytes of a thread's room for the scores of so many positions: `side` vectors for every four of them. */
export const scoreBytes = (positions: number, side: number): number =>
  16 * side * (Math.floor(positions / 4) + 1);

/** The cache is read up to three positions further than it is looked at: so many bytes behind it must be in the memory. */
export const readBeyond = 3 * 4 * 256;

/**
 * `name(q, qStride, k, kStride, v, vStride, cache, slots, ranges, out, outStride, scores, rows, begin, step)`: of all rows' parts of
 * `side` heads those numbered begin, begin + step, ... At `cache` stand the addresses of keys and values and the cache's positions;
 * slots[row] / positions is a row's stream; `scores` is a room of scoreBytes.
 */
export function attention(name: string, { heads, kvHeads, size, scale, side }: AttentionShape): WasmFunction {
  return func(
    name,
    15,
    (
      local,
      q,
      qStride,
      k,
      kStride,
      v,
      vStride,
      cache,
      slots,
      ranges,
      out,
      outStride,
      scores,
      rows,
      begin,
      step,
    ) => {
      const locals = (count: number, type: number) => Array.from({ length: count }, () => local(type));
      const [row, part, query, own, count, left, at, to, first, result] = locals(10, I32);
      const [x, y, z] = locals(3, V128), largest = locals(side, V128), ones = locals(side, V128);
      const all = Array.from({ length: side }, (_, head) => head), positions = [0, 1, 2, 3];
      const vectors = size / 4, bytes = 4 * size, parts = heads / side;
      const chunk = [8, 4, 2, 1].find((count) =>
        vectors % count === 0 && (count * side <= 12 || count === 1)
      )!;
      const pair = Math.min(side, 2), sums = locals(Math.max(4 * pair, chunk * side), V128);
      const keys = locals(4, V128);
      const kvHead = i32.divU(i32.mul(get(part), int(side)), int(heads / kvHeads));
      const cached = (which: number): Code => {
        const past = i32.load(get(cache), 8), slot = i32.load(i32.add(get(slots), i32.shl(get(row), int(2))));
        const head = i32.add(i32.mul(i32.divU(slot, past), int(kvHeads)), kvHead);
        const position = i32.add(i32.mul(head, past), get(first));
        return i32.add(i32.load(get(cache), which), i32.mul(position, int(bytes)));
      };
      const rowOf = (x: number, stride: number, head: Code) =>
        i32.add(i32.add(get(x), i32.mul(get(row), get(stride))), i32.mul(head, int(bytes)));
      const firstHead = i32.mul(get(part), int(side));

      /** Four positions' scores of one or two heads, from `head` on. */
      const fourScores = (heads: number[]): Code => [
        heads.map((_, h) => positions.map((p) => set(sums[4 * h + p], zero))),
        Array.from({ length: vectors }, (_, i) => [
          positions.map((p) => set(keys[p], v128.load(get(at), 16 * i + bytes * p))),
          heads.map((head, h) => [
            set(x, v128.load(get(query), 16 * i + bytes * head)),
            positions.map((p) =>
              set(sums[4 * h + p], f32x4.madd(get(x), get(keys[p]), get(sums[4 * h + p])))
            ),
          ]),
        ]),
        heads.map((head, h) => [
          set(x, f32x4.mul(sumsOfLanes(sums.slice(4 * h, 4 * h + 4), [y, z]), splat(scale))),
          set(largest[head], f32x4.pmax(get(largest[head]), get(x))),
          v128.store(get(to), get(x), 16 * head),
        ]),
      ];
      const pairs = all.filter((head) => head % pair === 0).map((head) => all.slice(head, head + pair));
      const oneScore = (key: number): Code => [
        all.map((head) => [
          set(x, zero),
          Array.from({ length: vectors }, (_, i) => {
            const [a, b] = [v128.load(get(query), 16 * i + bytes * head), v128.load(get(key), 16 * i)];
            return set(x, f32x4.madd(a, b, get(x)));
          }),
          f32.store(get(to), f32.mul(sumOfLanes(x), float(scale)), 16 * head),
        ]),
        advance(to, int(4)),
      ];
      const scored: Code = [
        all.map((head) => set(largest[head], splat(-1e30))),
        [set(to, get(scores)), set(at, cached(0)), set(left, i32.shrU(get(count), int(2)))],
        each(left, [pairs.map(fourScores), advance(at, int(4 * bytes)), advance(to, int(16 * side))]),
        // What is left over, and the token itself; the last vectors' rest counts nothing.
        [all.map((head) => v128.store(get(to), splat(-1e30), 16 * head)), set(result, get(to))],
        set(left, i32.and(get(count), int(3))),
        each(left, [oneScore(at), advance(at, int(bytes))]),
        oneScore(own),
        all.map((head) => {
          const highest = largest[head], last = v128.load(get(result), 16 * head);
          const lane = (i: number) => f32x4.extract(get(highest), i);
          return [
            set(highest, f32x4.pmax(get(highest), last)),
            set(highest, f32x4.splat(f32.max(f32.max(lane(0), lane(1)), f32.max(lane(2), lane(3))))),
          ];
        }),
      ];
      const exponentials: Code = [
        [all.map((head) => set(ones[head], zero)), set(to, get(scores))],
        set(left, i32.add(i32.shrU(get(count), int(2)), int(1))),
        each(left, [
          all.map((head) => [
            set(x, f32x4.sub(v128.load(get(to), 16 * head), get(largest[head]))),
            exp(x, [y, z]),
            set(ones[head], f32x4.add(get(ones[head]), get(x))),
            v128.store(get(to), get(x), 16 * head),
          ]),
          advance(to, int(16 * side)),
        ]),
        all.map((head) => set(ones[head], f32x4.splat(f32.div(float(1), sumOfLanes(ones[head]))))),
      ];
      /** A position's values with every head's weight: `chunk` vectors of them. */
      const weighted = (value: number, p: number): Code => [
        Array.from(
          { length: chunk },
          (_, i) => i < 4 ? set(keys[i], v128.load(get(value), bytes * p + 16 * i)) : [],
        ),
        all.map((head) => [
          set(x, v128.load32Splat(get(to), 16 * head + 4 * p)),
          Array.from({ length: chunk }, (_, i) => {
            const sum = sums[head * chunk + i];
            const number = i < 4 ? get(keys[i]) : v128.load(get(value), bytes * p + 16 * i);
            return set(sum, f32x4.madd(get(x), number, get(sum)));
          }),
        ]),
      ];
      const averaged = (begin: number): Code => [
        sums.slice(0, chunk * side).map((sum) => set(sum, zero)),
        [set(to, get(scores)), set(at, i32.add(cached(4), int(begin)))],
        set(left, i32.shrU(get(count), int(2))),
        each(left, [
          positions.map((p) => weighted(at, p)),
          [advance(at, int(4 * bytes)), advance(to, int(16 * side))],
        ]),
        set(left, i32.and(get(count), int(3))),
        each(left, [weighted(at, 0), advance(at, int(bytes)), advance(to, int(4))]),
        [set(at, i32.add(get(own), int(begin))), weighted(at, 0)],
        all.map((head) =>
          Array.from({ length: chunk }, (_, i) => {
            const average = f32x4.mul(get(sums[head * chunk + i]), get(ones[head]));
            return v128.store(get(query), average, bytes * head + begin + 16 * i);
          })
        ),
      ];
      const oneGroup: Code = [
        set(row, i32.divU(get(begin), int(parts))),
        set(part, i32.sub(get(begin), i32.mul(get(row), int(parts)))),
        set(at, i32.add(get(ranges), i32.mul(get(row), int(8)))),
        [set(first, i32.load(get(at))), set(count, i32.sub(i32.load(get(at), 4), get(first)))],
        [set(query, rowOf(q, qStride, firstHead)), set(own, rowOf(k, kStride, kvHead))],
        [scored, exponentials],
        [set(query, rowOf(out, outStride, firstHead)), set(own, rowOf(v, vStride, kvHead))],
        Array.from({ length: vectors / chunk }, (_, i) => averaged(16 * chunk * i)),
        advance(begin, get(step)),
      ];
      const more = i32.ltS(get(begin), i32.mul(get(rows), int(parts)));
      return when(more, loop(oneGroup, more));
    },
  );
}
