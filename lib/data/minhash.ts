// An index of sets that finds those similar to another without looking at all of them: MinHash signatures, of which some in
// a row (a band) being equal makes a candidate (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4).

import { seededRandom } from "./random.ts";
import { jaccard } from "./shingles.ts";

/** Finds sets by similarity. */
export interface NearIndex {
  /** The sets added so far whose Jaccard similarity to this one reaches the threshold, with it. */
  query(set: Float64Array): { item: number; similarity: number }[];
  /** Adds a set under a number of the caller's. */
  add(item: number, set: Float64Array): void;
}

/** How likely a pair exactly at the threshold must be found; more similar ones are found more surely. */
const RECALL = 0.99;

/**
 * Rows of a band and number of bands: the most rows (hence the fewest needless candidates) with which a pair at the
 * threshold is found with 99 %. A pair of similarity s is found with 1 - (1 - s^rows)^bands.
 */
export function bandsFor(threshold: number, numPerm: number): { rows: number; bands: number } {
  for (let rows = numPerm; rows > 1; rows--) {
    const bands = Math.floor(numPerm / rows);
    if (1 - (1 - threshold ** rows) ** bands >= RECALL) return { rows, bands };
  }
  return { rows: 1, bands: numPerm };
}

/** An empty index for at most `capacity` sets. Candidates are compared wholly, so that whatever it gives is right. */
export function nearIndex(threshold: number, numPerm: number, capacity: number): NearIndex {
  const { rows, bands } = bandsFor(threshold, numPerm);
  const sign = signer(rows * bands);
  const slots = 1 << Math.ceil(Math.log2(Math.max(2, capacity)));
  // A hash table with chains for each band: the newest entry of a slot, its hash, and the entry before it.
  const heads = new Int32Array(bands * slots).fill(-1);
  const hashes = new Int32Array(bands * capacity), before = new Int32Array(bands * capacity);
  const items: number[] = [], sets: Float64Array[] = [];
  const asked = new Int32Array(capacity).fill(-1);
  let queries = 0;

  return {
    query(set) {
      const keys = bandKeys(sign(set), rows, bands);
      const found: { item: number; similarity: number }[] = [];
      const query = queries++;
      for (let band = 0; band < bands; band++) {
        const key = keys[band];
        for (let at = heads[band * slots + (key & (slots - 1))]; at >= 0; at = before[band * capacity + at]) {
          if (hashes[band * capacity + at] !== key || asked[at] === query) continue;
          asked[at] = query;
          const [small, large] = [set.length, sets[at].length].sort((a, b) => a - b);
          if (small / large < threshold) continue; // even if the smaller lay wholly inside the larger
          const similarity = jaccard(set, sets[at]);
          if (similarity >= threshold) found.push({ item: items[at], similarity });
        }
      }
      return found;
    },
    add(item, set) {
      const keys = bandKeys(sign(set), rows, bands);
      const at = sets.length;
      for (let band = 0; band < bands; band++) {
        const slot = band * slots + (keys[band] & (slots - 1));
        hashes[band * capacity + at] = keys[band];
        before[band * capacity + at] = heads[slot];
        heads[slot] = at;
      }
      items.push(item);
      sets.push(set);
    },
  };
}

/** A function that gives the signature of a set: for each of `count` permutations of 32-bit numbers its least hash. */
function signer(count: number): (set: Float64Array) => Uint32Array {
  const random = seededRandom(1);
  const draw = () => Int32Array.from({ length: count }, () => random() * 2 ** 32);
  const factors = draw().map((factor) => factor | 1); // odd: times it is a permutation
  const offsets = draw();
  const signature = new Uint32Array(count);
  let last: Float64Array | undefined;
  return (set) => {
    if (set === last) return signature; // asked and added one after the other
    last = set;
    signature.fill(0xffffffff);
    for (let i = 0; i < set.length; i++) {
      const hash = set[i] % 2 ** 32 | 0;
      for (let k = 0; k < count; k++) {
        const value = Math.imul(hash, factors[k]) + offsets[k] >>> 0;
        if (value < signature[k]) signature[k] = value;
      }
    }
    return signature;
  };
}

/** One hash for each band of a signature. */
function bandKeys(signature: Uint32Array, rows: number, bands: number): Int32Array {
  const keys = new Int32Array(bands);
  for (let band = 0; band < bands; band++) {
    let key = band;
    for (let i = band * rows; i < (band + 1) * rows; i++) {
      key = Math.imul(key ^ signature[i], 0x9e3779b1) ^ (key >>> 13);
    }
    keys[band] = Math.imul(key ^ (key >>> 16), 0x85ebca6b) ^ (key >>> 11);
  }
  return keys;
}
