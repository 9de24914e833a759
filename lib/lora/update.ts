// What LoRA adds to a weight, row by row, in float64.

/** row += scale * (B A)[i], for A [r, row.length] and B [rows, r]. */
export function addUpdate(
  row: Float64Array,
  i: number,
  { a, b, scale }: { readonly a: Float32Array; readonly b: Float32Array; readonly scale: number },
): void {
  const columns = row.length, r = a.length / columns;
  for (let k = 0; k < r; k++) {
    const factor = scale * b[i * r + k];
    if (factor === 0) continue;
    for (let j = 0, at = k * columns; j < columns; j++, at++) row[j] += factor * a[at];
  }
}

export function squaredLength(row: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += row[i] * row[i];
  return sum;
}
