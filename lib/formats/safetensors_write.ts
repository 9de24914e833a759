// Writing safetensors files, streamed.

import { UserError } from "../errors.ts";
import { writeFileAtomic, type WriteOptions } from "./atomic.ts";
import { type Dtype, dtypeRank, elementBytes, elementCount } from "./dtypes.ts";

/** A tensor to write: its bytes, or a function that gives them when their turn comes. */
export interface TensorData {
  /** Element type. */
  dtype: Dtype;
  /** Sizes, the outermost first. */
  shape: readonly number[];
  /** Little-endian bytes without gaps. */
  data: Uint8Array | (() => Uint8Array | Promise<Uint8Array>);
}

/**
 * Writes a safetensors file, whole or not at all, byte for byte as the safetensors library does: tensors sorted by
 * dtype and name, the header padded to 8 bytes. Tensors given as functions are held one at a time.
 *
 * @param path where the file goes
 * @param tensors the tensors by name
 * @param metadata free texts; Transformers and PEFT expect `{ format: "pt" }`
 * @param options `overwrite: false` refuses to replace an existing file
 * @throws UserError when a tensor's bytes are not those of its dtype and shape
 */
export async function writeSafetensors(
  path: string,
  tensors: Map<string, TensorData>,
  metadata: Record<string, string> = {},
  options: WriteOptions = {},
): Promise<void> {
  const inOrder = [...tensors].sort(([a, { dtype: left }], [b, { dtype: right }]) =>
    dtypeRank(right) - dtypeRank(left) || (a < b ? -1 : 1)
  );
  await writeFileAtomic(path, filePieces(inOrder, metadata, path), options);
}

async function* filePieces(
  tensors: [string, TensorData][],
  metadata: Record<string, string>,
  path: string,
): AsyncGenerator<Uint8Array> {
  yield headerOf(tensors, metadata);
  for (const [name, { dtype, shape, data }] of tensors) {
    const bytes = typeof data === "function" ? await data() : data;
    const expected = elementCount(shape) * elementBytes(dtype);
    if (bytes.length !== expected) {
      throw new UserError(
        `${path}, tensor "${name}": ${dtype} of shape [${shape}] needs ${expected} bytes, got ${bytes.length}.`,
      );
    }
    yield bytes;
  }
}

function headerOf(tensors: [string, TensorData][], metadata: Record<string, string>): Uint8Array {
  let position = 0;
  const entries = tensors.map(([name, { dtype, shape }]) => {
    const begin = position;
    position += elementCount(shape) * elementBytes(dtype);
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, position] })}`;
  });
  if (Object.keys(metadata).length > 0) entries.unshift(`"__metadata__":${JSON.stringify(metadata)}`);
  const json = new TextEncoder().encode(`{${entries.join(",")}}`);
  const padded = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(padded.buffer).setBigUint64(0, BigInt(padded.length - 8), true);
  padded.set(json, 8);
  return padded;
}
