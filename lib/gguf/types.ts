// The number formats of GGUF's tensors: blocks of so many numbers in so many bytes, by the names and ids of ggml.h.

/** A tensor's number format. */
export type GgmlType =
  | "F32"
  | "F16"
  | "BF16"
  | "Q4_0"
  | "Q4_1"
  | "Q5_0"
  | "Q5_1"
  | "Q8_0"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K";

/** How numbers of a format lie in a file. */
export interface GgmlLayout {
  /** The format's number in a file. */
  readonly id: number;
  /** Numbers in a block; a row is whole blocks. */
  readonly block: number;
  /** Bytes of a block. */
  readonly bytes: number;
}

/** Every format that is read; all but BF16, Q4_1, Q5_1 and Q5_K are written too. */
export const ggmlTypes: Readonly<Record<GgmlType, GgmlLayout>> = {
  F32: { id: 0, block: 1, bytes: 4 },
  F16: { id: 1, block: 1, bytes: 2 },
  Q4_0: { id: 2, block: 32, bytes: 18 },
  Q4_1: { id: 3, block: 32, bytes: 20 },
  Q5_0: { id: 6, block: 32, bytes: 22 },
  Q5_1: { id: 7, block: 32, bytes: 24 },
  Q8_0: { id: 8, block: 32, bytes: 34 },
  Q4_K: { id: 12, block: 256, bytes: 144 },
  Q5_K: { id: 13, block: 256, bytes: 176 },
  Q6_K: { id: 14, block: 256, bytes: 210 },
  BF16: { id: 30, block: 1, bytes: 2 },
};

const byId = new Map(Object.entries(ggmlTypes).map(([name, { id }]) => [id, name as GgmlType]));

/** The format of a number in a file; undefined for one that is not known here. */
export const ggmlType = (id: number): GgmlType | undefined => byId.get(id);

/** What so many numbers take; they must be whole blocks. */
export const ggmlBytes = (type: GgmlType, count: number): number =>
  count / ggmlTypes[type].block * ggmlTypes[type].bytes;
