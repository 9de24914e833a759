// The largest singular values of a matrix and their vectors: Golub and Kahan's bidiagonalisation as Lanczos iterates it, with
// every new vector made orthogonal to all before (Golub & Kahan 1965; Simon & Zha 2000), in float64. It goes on until the
// wanted values stand still, so that the answer is that of a full decomposition at a fraction of its price.
import { seededRandom } from "../data/random.ts";

/** Row-major. */
export interface DenseMatrix {
  readonly data: Float32Array;
  readonly rows: number;
  readonly columns: number;
}

/** `u[i]` and `v[i]` belong to `s[i]`, the largest first. */
export interface SingularTriplets {
  readonly u: Float64Array[];
  readonly s: number[];
  readonly v: Float64Array[];
}

/** What a singular value may still move, relative to the largest. */
const tolerance = 1e-7;

/** The `count` largest; beyond the matrix's rank the values are zero. */
export function largestSingular(matrix: DenseMatrix, count: number): SingularTriplets {
  const most = Math.min(matrix.rows, matrix.columns), random = seededRandom(1);
  const left: Float64Array[] = [], right: Float64Array[] = [], diagonal: number[] = [], beside: number[] = [];
  let next = unitVector(matrix.columns, right, random);
  for (let target = Math.min(most, 2 * count + 32);; target = Math.min(most, Math.ceil(target * 1.5))) {
    while (right.length < target) {
      const u = times(matrix, next);
      if (left.length > 0) subtract(u, left.at(-1)!, beside.at(-1)!);
      const alpha = normalised(u, left, random);
      right.push(next);
      left.push(u);
      diagonal.push(alpha);
      next = transposedTimes(matrix, u);
      subtract(next, right.at(-1)!, alpha);
      // In the last step nothing is left that is orthogonal to all.
      beside.push(right.length < matrix.columns ? normalised(next, right, random) : 0);
    }
    const small = bidiagonalSingular(diagonal, beside);
    const wanted = small.order.slice(0, count), largest = small.s[wanted[0]];
    const settled = wanted.every((i) => beside.at(-1)! * Math.abs(small.u[i].at(-1)!) <= tolerance * largest);
    if (target < most && !settled) continue;
    return {
      s: wanted.map((i) => small.s[i]),
      u: wanted.map((i) => combined(left, small.u[i])),
      v: wanted.map((i) => combined(right, small.v[i])),
    };
  }
}

function times({ data, rows, columns }: DenseMatrix, x: Float64Array): Float64Array {
  const y = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    let sum = 0;
    for (let j = 0, at = i * columns; j < columns; j++, at++) sum += data[at] * x[j];
    y[i] = sum;
  }
  return y;
}

function transposedTimes({ data, rows, columns }: DenseMatrix, x: Float64Array): Float64Array {
  const y = new Float64Array(columns);
  for (let i = 0; i < rows; i++) {
    const factor = x[i];
    for (let j = 0, at = i * columns; j < columns; j++, at++) y[j] += factor * data[at];
  }
  return y;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function subtract(x: Float64Array, y: Float64Array, factor: number): void {
  for (let i = 0; i < x.length; i++) x[i] -= factor * y[i];
}

/** Makes x orthogonal to the basis (twice: once leaves rounding behind) and of length 1; returns the length it had. */
function normalised(x: Float64Array, basis: readonly Float64Array[], random: () => number): number {
  const before = Math.sqrt(dot(x, x));
  for (let pass = 0; pass < 2; pass++) for (const other of basis) subtract(x, other, dot(x, other));
  const length = Math.sqrt(dot(x, x));
  if (length > 1e-13 * before) {
    for (let i = 0; i < x.length; i++) x[i] /= length;
    return length;
  }
  if (basis.length < x.length) x.set(unitVector(x.length, basis, random)); // the space so far is closed: another one begins
  return 0;
}

function unitVector(length: number, basis: readonly Float64Array[], random: () => number): Float64Array {
  const x = Float64Array.from({ length }, () => random() - 0.5);
  normalised(x, basis, random);
  return x;
}

/** Singular values of the bidiagonal matrix, by one-sided Jacobi rotations (Hestenes 1958). */
function bidiagonalSingular(diagonal: readonly number[], beside: readonly number[]) {
  const n = diagonal.length;
  // Rows of B, each turned against the others until all are orthogonal: then B = U S V with the turns collected in `u`.
  const rows = diagonal.map((value, i) => {
    const row = new Float64Array(n);
    row[i] = value;
    if (i + 1 < n) row[i + 1] = beside[i];
    return row;
  });
  const turns = rows.map((_, i) => Float64Array.from({ length: n }, (_, j) => Number(i === j)));
  for (let sweep = 0, turned = true; turned && sweep < 60; sweep++) {
    turned = false;
    for (let p = 0; p < n - 1; p++) {
      for (let q = p + 1; q < n; q++) turned = rotate(rows, turns, p, q) || turned;
    }
  }
  const s = rows.map((row) => Math.sqrt(dot(row, row)));
  const v = rows.map((row, i) => s[i] > 0 ? row.map((x) => x / s[i]) : row);
  const order = s.map((_, i) => i).sort((a, b) => s[b] - s[a]);
  return { s, u: turns, v, order };
}

function rotate(rows: Float64Array[], turns: Float64Array[], p: number, q: number): boolean {
  const a = dot(rows[p], rows[p]), b = dot(rows[q], rows[q]), c = dot(rows[p], rows[q]);
  if (Math.abs(c) <= 1e-15 * Math.sqrt(a * b)) return false;
  const ratio = (b - a) / (2 * c);
  const tangent = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.sqrt(1 + ratio * ratio));
  const cosine = 1 / Math.sqrt(1 + tangent * tangent), sine = cosine * tangent;
  for (const [x, y] of [[rows[p], rows[q]], [turns[p], turns[q]]]) {
    for (let i = 0; i < x.length; i++) {
      const before = x[i];
      x[i] = cosine * before - sine * y[i];
      y[i] = sine * before + cosine * y[i];
    }
  }
  return true;
}

function combined(basis: readonly Float64Array[], weights: Float64Array): Float64Array {
  const sum = new Float64Array(basis[0].length);
  basis.forEach((vector, k) => subtract(sum, vector, -weights[k]));
  return sum;
}
