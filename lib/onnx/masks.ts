// Which positions see which, as ONNX nodes: masks are added to the scores, [batch, heads, 1, tokens, keys] with 1 where all
// are alike.
import type { OnnxContext } from "../engine/onnx/context.ts";

/** Low enough not to count, and finite: a filled-up position sees nothing, and must not become NaN. */
const UNSEEN = -1e30;

/** The size of one axis, as a vector of one. */
export const sizeOf = ({ node }: OnnxContext, x: string, axis: number): string =>
  node("Shape", [x], { start: axis, end: axis + 1 });

/** All axes as one. */
export const flat = ({ node, i64 }: OnnxContext, x: string): string => node("Reshape", [x, i64([-1])]);

/** Places of the new tokens [tokens, 1] and of all keys [keys], the cached ones first. */
export function places(context: OnnxContext, tokens: string, past: string): { rows: string; keys: string } {
  const { node, i64 } = context;
  const range = (count: string) => node("Range", [i64(0), node("Squeeze", [count]), i64(1)]);
  const rows = node("Unsqueeze", [node("Add", [range(tokens), past]), i64([-1])]);
  return { rows, keys: range(node("Add", [tokens, past])) };
}

/** Keys not behind the token, and not before its window. */
export function causal(
  { node, i64 }: OnnxContext,
  { rows, keys }: { rows: string; keys: string },
  window: number | null = null,
): string {
  const before = node("LessOrEqual", [keys, rows]);
  if (window === null) return before;
  return node("And", [before, node("Greater", [keys, node("Sub", [rows, i64(window)])])]);
}

/** attention_mask [batch, keys] of 1 and 0 as truth values, [batch, 1, keys]. */
export const real = ({ node, i64 }: OnnxContext, mask: string): string =>
  node("Unsqueeze", [node("Cast", [mask], { to: "bool" }), i64([1])]);

/** Truth values [tokens, keys] or [batch, tokens, keys] as a mask. */
export function maskOf({ node, i64, f32 }: OnnxContext, seen: string, batched: boolean): string {
  const added = node("Where", [seen, f32(0), f32(UNSEEN)]);
  return node("Unsqueeze", [added, i64(batched ? [1, 2] : [0, 1, 2])]);
}

/** T5's bias by distance, [1, heads, 1, tokens, keys], from a table [2 * reach + 1, heads]. */
export function biasOf(
  { node, i64 }: OnnxContext,
  { rows, keys }: { rows: string; keys: string },
  table: string,
  reach: number,
): string {
  const distance = node("Clip", [node("Sub", [keys, rows]), i64(-reach), i64(reach)]);
  const found = node("Gather", [table, node("Add", [distance, i64(reach)])]);
  return node("Unsqueeze", [node("Transpose", [found], { perm: { ints: [2, 0, 1] } }), i64([0, 2])]);
}
