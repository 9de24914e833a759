// Mutations that know nothing of what the bytes mean.
import { below, pick, type Random } from "./random.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const WORDS = [0, 1, 0x7f, 0x80, 0xff];

/** One to four flips, cuts, insertions, repetitions or overwritten numbers. */
export function mutateBytes(bytes: Bytes, random: Random, most = 4): Bytes {
  let changed: Bytes = new Uint8Array(bytes);
  for (let left = 1 + below(random, most); left > 0; left--) {
    changed = pick(random, MUTATIONS)(changed, random);
  }
  return changed;
}

/** Flips bits and overwrites numbers, so that the length stays. */
export function patchBytes(bytes: Bytes, random: Random, begin = 0, end = bytes.length): Bytes {
  const changed = new Uint8Array(bytes);
  if (end <= begin) return changed;
  for (let left = 1 + below(random, 4); left > 0; left--) {
    const at = begin + below(random, end - begin);
    changed[at] = random() < 0.5 ? changed[at] ^ 1 << below(random, 8) : pick(random, WORDS);
  }
  return changed;
}

const MUTATIONS: ((bytes: Bytes, random: Random) => Bytes)[] = [
  (bytes, random) => patchBytes(bytes, random),
  (bytes, random) => patchBytes(bytes, random),
  (bytes, random) => bytes.slice(0, below(random, bytes.length + 1)), // cut
  (bytes, random) => { // a piece is missing
    const at = below(random, bytes.length + 1), length = 1 + below(random, 16);
    return joined(bytes.subarray(0, at), bytes.subarray(at + length));
  },
  (bytes, random) => { // something new
    const at = below(random, bytes.length + 1);
    const fresh = Uint8Array.from({ length: 1 + below(random, 16) }, () => below(random, 256));
    return joined(bytes.subarray(0, at), fresh, bytes.subarray(at));
  },
  (bytes, random) => { // a piece twice, or from elsewhere
    const from = below(random, bytes.length), to = below(random, bytes.length + 1);
    const piece = bytes.subarray(from, from + 1 + below(random, 64));
    return joined(bytes.subarray(0, to), piece, bytes.subarray(to));
  },
  (bytes, random) => { // a number that lies
    if (bytes.length < 8) return bytes;
    const changed = new Uint8Array(bytes), view = new DataView(changed.buffer);
    const value = pick(random, [0n, 1n, 0x7fffffffn, 0xffffffffn, 0x7fffffffffffffffn, 0xffffffffffffffffn]);
    const at = below(random, bytes.length - 7);
    if (random() < 0.5) view.setUint32(at, Number(value & 0xffffffffn), true);
    else view.setBigUint64(at, value, true);
    return changed;
  },
];

export function joined(...pieces: Uint8Array[]): Bytes {
  const all = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
