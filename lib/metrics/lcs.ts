// Longest common subsequences of token numbers: the length alone, and the union over several candidates.

/** Length of the longest common subsequence, in memory for one row of the table. */
export function lcsLength(reference: Int32Array, candidate: Int32Array): number {
  const row = new Int32Array(candidate.length + 1);
  for (const token of reference) {
    let diagonal = 0;
    for (let j = 1; j <= candidate.length; j++) {
      const above = row[j];
      row[j] = candidate[j - 1] === token ? diagonal + 1 : Math.max(above, row[j - 1]);
      diagonal = above;
    }
  }
  return row[candidate.length];
}

/** The table of lengths for all prefixes, [reference + 1, candidate + 1], flat. */
function lcsTable(reference: Int32Array, candidate: Int32Array): Int32Array {
  const width = candidate.length + 1;
  const table = new Int32Array((reference.length + 1) * width);
  for (let i = 1; i <= reference.length; i++) {
    for (let j = 1; j < width; j++) {
      const at = i * width + j;
      table[at] = reference[i - 1] === candidate[j - 1]
        ? table[at - width - 1] + 1
        : Math.max(table[at - width], table[at - 1]);
    }
  }
  return table;
}

/**
 * Marks in `found` ([reference]) the positions of the reference that belong to one longest common subsequence with
 * the candidate. Of several equally long ones it takes rouge_score's: at a tie, a step back in the reference.
 */
export function markLCS(reference: Int32Array, candidate: Int32Array, found: Uint8Array): void {
  const table = lcsTable(reference, candidate), width = candidate.length + 1;
  let i = reference.length, j = candidate.length;
  while (i > 0 && j > 0) {
    if (reference[i - 1] === candidate[j - 1]) {
      found[--i] = 1;
      j--;
    } else if (table[i * width + j - 1] > table[(i - 1) * width + j]) {
      j--;
    } else {
      i--;
    }
  }
}
