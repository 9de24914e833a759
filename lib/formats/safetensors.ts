// The safetensors file format: an 8-byte header length, a JSON header, then the tensors' bytes one after another.
// https://github.com/huggingface/safetensors. The header is believed only after every number in it was checked.

import { UserError } from "../errors.ts";
import { fileError } from "./file_error.ts";
import { type Dtype, elementBytes, elementCount, isDtype } from "./dtypes.ts";
export { type Dtype, elementBytes, elementCount } from "./dtypes.ts";
export { type TensorData, writeSafetensors } from "./safetensors_write.ts";
export { toBfloat16, toFloat16, toFloat32 } from "./floats.ts";

/** What one tensor is and where it lies. */
export interface TensorInfo {
  /** Element type. */
  dtype: Dtype;
  /** Sizes, the outermost first; empty for a scalar. */
  shape: number[];
  /** Its first byte, counted from the start of the file. */
  begin: number;
  /** The byte behind its last. */
  end: number;
}

/** An open safetensors file. The header is in memory, tensors stay on disk until they are asked for. */
export interface SafetensorsFile {
  /** All tensors by name. */
  tensors: Map<string, TensorInfo>;
  /** Free texts of the header. */
  metadata: Record<string, string>;
  /** The whole tensor's bytes. */
  read(name: string): Promise<Uint8Array<ArrayBuffer>>;
  /** Fills `target` with the tensor's bytes from `byteOffset` on: large tensors are read in pieces. */
  readInto(name: string, target: Uint8Array, byteOffset?: number): Promise<void>;
  /** Gives the file back to the system. */
  close(): void;
}

/** The safetensors library's own limit. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * Opens a safetensors file and checks its header: offsets lie inside the file, tensors neither overlap nor leave gaps,
 * and every size is that of its dtype and shape. Close it when done.
 *
 * @param path the file
 * @returns the header's tensors and metadata, and functions to read one tensor at a time
 * @throws UserError when the file is missing, truncated or its header lies
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const file = await Deno.open(path).catch((error) => Promise.reject(fileError(error, path, "read")));
  try {
    const { tensors, metadata } = await readHeader(file, path);
    const readInto = sequentialReader(file, path, tensors);
    const read = async (name: string): Promise<Uint8Array<ArrayBuffer>> => {
      const { begin, end } = find(tensors, name, path);
      const bytes = new Uint8Array(end - begin);
      await readInto(name, bytes);
      return bytes;
    };
    return { tensors, metadata, read, readInto, close: () => file.close() };
  } catch (error) {
    file.close();
    throw fileError(error, path, "read");
  }
}

async function readHeader(
  file: Deno.FsFile,
  path: string,
): Promise<Pick<SafetensorsFile, "tensors" | "metadata">> {
  const { size, isDirectory } = await file.stat();
  if (isDirectory) throw new UserError(`${path} is a folder where a safetensors file is expected.`);
  if (size < 8) throw new UserError(`${path} is no safetensors file: it has only ${size} bytes.`);
  const prefix = new Uint8Array(8);
  await readAt(file, 0, prefix, path);
  const headerBytes = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  if (headerBytes > MAX_HEADER_BYTES || headerBytes + 8 > size) {
    throw new UserError(
      `${path} is truncated or no safetensors file: its header should have ${headerBytes} bytes, the file has ${size}.`,
    );
  }
  const text = new Uint8Array(headerBytes);
  await readAt(file, 8, text, path);
  return parseHeader(text, 8 + headerBytes, size, path);
}

function parseHeader(
  text: Uint8Array,
  dataBegin: number,
  fileSize: number,
  path: string,
): Pick<SafetensorsFile, "tensors" | "metadata"> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
  } catch {
    throw new UserError(`${path} is damaged or no safetensors file: its header is not valid JSON.`);
  }
  if (!isObject(header)) {
    throw new UserError(`${path} is no safetensors file: its header is not a JSON object.`);
  }
  const metadata: Record<string, string> = {};
  const tensors = new Map<string, TensorInfo>();
  for (const [name, entry] of Object.entries(header)) {
    if (name !== "__metadata__") {
      tensors.set(name, parseEntry(entry, dataBegin, fileSize, `${path}, tensor "${name}"`));
    } else if (isObject(entry) && Object.values(entry).every((value) => typeof value === "string")) {
      Object.assign(metadata, entry);
    } else {
      throw new UserError(`${path}: its metadata is not a list of texts.`);
    }
  }
  checkLayout(tensors, dataBegin, fileSize, path);
  return { tensors, metadata };
}

function parseEntry(entry: unknown, dataBegin: number, fileSize: number, where: string): TensorInfo {
  if (!isObject(entry)) throw new UserError(`${where}: its header entry is not an object.`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!isDtype(dtype)) {
    throw new UserError(`${where}: unknown dtype ${JSON.stringify(dtype)}.`);
  }
  if (!isShape(shape)) throw new UserError(`${where}: impossible shape ${JSON.stringify(shape)}.`);
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
    throw new UserError(`${where}: impossible data offsets ${JSON.stringify(offsets)}.`);
  }
  const [begin, end] = [dataBegin + offsets[0], dataBegin + offsets[1]];
  if (end > fileSize) {
    throw new UserError(
      `${where}: its data ends at byte ${end}, the file at ${fileSize}: the file is truncated, fetch it again.`,
    );
  }
  const bytes = elementCount(shape) * elementBytes(dtype);
  if (bytes !== end - begin) {
    throw new UserError(
      `${where}: ${dtype} of shape [${shape}] needs ${bytes} bytes, the header gives ${end - begin}.`,
    );
  }
  return { dtype, shape, begin, end };
}

/** Every byte of the data belongs to exactly one tensor: nothing overlaps and nothing hides between. */
function checkLayout(
  tensors: Map<string, TensorInfo>,
  dataBegin: number,
  fileSize: number,
  path: string,
): void {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let position = dataBegin;
  for (const [name, { begin, end }] of inOrder) {
    if (begin < position) {
      throw new UserError(`${path}, tensor "${name}": its data overlaps another tensor's.`);
    }
    if (begin > position) {
      throw new UserError(`${path}, tensor "${name}": bytes before its data belong to no tensor.`);
    }
    position = end;
  }
  if (position !== fileSize) {
    throw new UserError(`${path}: ${fileSize - position} bytes at its end belong to no tensor.`);
  }
}

/** Reads wait for one another: they share the file's position. */
function sequentialReader(
  file: Deno.FsFile,
  path: string,
  tensors: Map<string, TensorInfo>,
): SafetensorsFile["readInto"] {
  let previous: Promise<unknown> = Promise.resolve();
  return async (name, target, byteOffset = 0) => {
    const { begin, end } = find(tensors, name, path);
    if (!(byteOffset >= 0 && begin + byteOffset + target.length <= end)) {
      throw new RangeError(
        `bytes ${byteOffset} to ${byteOffset + target.length} lie outside tensor "${name}"`,
      );
    }
    const turn = previous.then(() => readAt(file, begin + byteOffset, target, path));
    previous = turn.catch(() => {});
    await turn;
  };
}

async function readAt(file: Deno.FsFile, position: number, target: Uint8Array, path: string): Promise<void> {
  await file.seek(position, Deno.SeekMode.Start);
  for (let done = 0; done < target.length;) {
    const count = await file.read(target.subarray(done));
    if (count === null) throw new UserError(`${path} is truncated: it ends at byte ${position + done}.`);
    done += count;
  }
}

function find(tensors: Map<string, TensorInfo>, name: string, path: string): TensorInfo {
  const info = tensors.get(name);
  if (!info) throw new UserError(`${path} has no tensor "${name}".`);
  return info;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whole numbers from 0 on whose product is exact. */
function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function isShape(value: unknown): value is number[] {
  return isSizes(value) && Number.isSafeInteger(elementCount(value));
}
