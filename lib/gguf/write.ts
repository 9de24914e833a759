// Writing a GGUF file, whole or not at all, one tensor in memory at a time.
import { UserError } from "../errors.ts";
import { writeFileAtomic, type WriteOptions } from "../formats/atomic.ts";
import { elementCount } from "../formats/dtypes.ts";
import { ggmlBytes, type GgmlType, ggmlTypes } from "./types.ts";
import { byteWriter, type Metadata } from "./values.ts";

/** A tensor to write. */
export interface GgufTensor {
  /** Its number format. */
  readonly type: GgmlType;
  /** Sizes, the outermost first, as everywhere here; the file has them the other way round. */
  readonly shape: readonly number[];
  /** Its bytes, made when their turn comes. */
  data(): Promise<Uint8Array>;
}

/** Tensors begin at multiples of this. */
export const ALIGNMENT = 32;

/** The next multiple of the alignment. */
export const aligned = (bytes: number, alignment: number = ALIGNMENT): number =>
  Math.ceil(bytes / alignment) * alignment;

/**
 * Writes a GGUF file of version 3.
 *
 * @param path where the file goes
 * @param options `overwrite: false` refuses to replace a file
 * @throws UserError when it cannot be written
 */
export async function writeGguf(
  path: string,
  metadata: Metadata,
  tensors: ReadonlyMap<string, GgufTensor>,
  options: WriteOptions,
): Promise<void> {
  await writeFileAtomic(path, filePieces(metadata, tensors), options);
}

async function* filePieces(
  metadata: Metadata,
  tensors: ReadonlyMap<string, GgufTensor>,
): AsyncGenerator<Uint8Array> {
  const header = headerOf(metadata, tensors);
  yield header;
  yield new Uint8Array(aligned(header.length) - header.length);
  for (const [name, { type, shape, data }] of tensors) {
    const bytes = await data(), expected = ggmlBytes(type, elementCount(shape));
    if (bytes.length !== expected) {
      throw new UserError(
        `tensor ${name}: ${type} of shape [${shape}] needs ${expected} bytes, got ${bytes.length}.`,
      );
    }
    yield bytes;
    yield new Uint8Array(aligned(expected) - expected);
  }
}

function headerOf(metadata: Metadata, tensors: ReadonlyMap<string, GgufTensor>): Uint8Array {
  const writer = byteWriter();
  writer.u32(MAGIC);
  writer.u32(3);
  writer.u64(tensors.size);
  writer.u64(metadata.size);
  for (const [key, value] of metadata) {
    writer.text(key);
    writer.value(value);
  }
  let offset = 0;
  for (const [name, { type, shape }] of tensors) {
    writer.text(name);
    writer.u32(shape.length);
    for (const size of shape.toReversed()) writer.u64(size);
    writer.u32(ggmlTypes[type].id);
    writer.u64(offset);
    offset += aligned(ggmlBytes(type, elementCount(shape)));
  }
  return writer.done();
}

/** "GGUF". */
export const MAGIC = 0x46554747;
