// What shape rules share: one sentence for each way in which inputs cannot fit.
import type { DType } from "./dtype.ts";
import type { Dim, Type } from "./graph.ts";

export function sameShape(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

export function describe({ dtype, shape }: Type): string {
  return `${dtype}[${shape.join(", ")}]`;
}

/** Requires a dtype and a rank; returns the shape. */
export function expectType(
  op: string,
  name: string,
  type: Type,
  dtypes: DType | DType[],
  rank: number,
): readonly Dim[] {
  const allowed = Array.isArray(dtypes) ? dtypes : [dtypes];
  if (!allowed.includes(type.dtype) || type.shape.length !== rank) {
    throw new Error(`${op}: ${name} must be ${allowed.join(" or ")} of rank ${rank}, not ${describe(type)}.`);
  }
  return type.shape;
}

export function expectDim(op: string, what: string, actual: Dim, expected: Dim): void {
  if (actual !== expected) throw new Error(`${op}: ${what} is ${actual}, expected ${expected}.`);
}

export function expectSame(op: string, what: string, a: Type, b: Type): void {
  if (a.dtype !== b.dtype || !sameShape(a.shape, b.shape)) {
    throw new Error(`${op}: ${what} must be of one type, not ${describe(a)} and ${describe(b)}.`);
  }
}
