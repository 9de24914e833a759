// Reading GGUF files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). A file is believed only after every size,
// count, type and offset in it was checked against what the file holds.
import { UserError } from "../errors.ts";
import { fileError } from "../formats/file_error.ts";
import { elementCount } from "../formats/dtypes.ts";
import { type HeaderReader, headerReader, NeedsMore } from "./header.ts";
import { ggmlBytes, type GgmlType, ggmlType, ggmlTypes } from "./types.ts";
import type { Metadata } from "./values.ts";
import { aligned, ALIGNMENT, MAGIC } from "./write.ts";

/** What one tensor is and where it lies. */
export interface GgufTensorInfo {
  /** Its number format. */
  readonly type: GgmlType;
  /** Sizes, the outermost first. */
  readonly shape: readonly number[];
  /** Its first byte, counted from the start of the file, and the byte behind its last. */
  readonly begin: number;
  readonly end: number;
}

/** An open GGUF file: what it says of itself is in memory, tensors stay on disk until they are asked for. */
export interface GgufFile {
  readonly metadata: Metadata;
  readonly tensors: ReadonlyMap<string, GgufTensorInfo>;
  /** The whole tensor's bytes. */
  read(name: string): Promise<Uint8Array<ArrayBuffer>>;
  close(): void;
}

/** Whether a name is a GGUF file's. */
export const isGguf = (name: string): boolean => /\.gguf$/i.test(name);

/** More than any real file has before its tensors; vocabularies take 10 MB. */
const MOST_HEADER_BYTES = 1 << 28;

/**
 * Opens a GGUF file of version 2 or 3 and checks all that it says of its tensors. Close it when done.
 *
 * @throws UserError when it is missing, truncated, split, big-endian, or lies
 */
export async function openGguf(path: string): Promise<GgufFile> {
  const file = await Deno.open(path).catch((error) => Promise.reject(fileError(error, path, "read")));
  try {
    const { size, isDirectory } = await file.stat();
    if (isDirectory) throw new UserError(`${path} is a folder where a GGUF file is expected.`);
    const { metadata, tensors } = await readHeader(file, size, path);
    let previous: Promise<unknown> = Promise.resolve(); // reads wait for one another: they share the file's position
    const read = async (name: string): Promise<Uint8Array<ArrayBuffer>> => {
      const info = tensors.get(name);
      if (!info) throw new UserError(`${path} has no tensor ${name}.`);
      const bytes = new Uint8Array(info.end - info.begin);
      const turn = previous.then(() => readAt(file, info.begin, bytes, path));
      previous = turn.catch(() => {});
      await turn;
      return bytes;
    };
    return { metadata, tensors, read, close: () => file.close() };
  } catch (error) {
    file.close();
    throw fileError(error, path, "read");
  }
}

/** The header's length stands nowhere: more of the file is read until it fits. */
async function readHeader(
  file: Deno.FsFile,
  size: number,
  path: string,
): Promise<Pick<GgufFile, "metadata" | "tensors">> {
  for (let wanted = 1 << 22;; wanted *= 4) {
    const bytes = new Uint8Array(Math.min(size, wanted));
    await readAt(file, 0, bytes, path);
    try {
      return parseHeader(headerReader(bytes, size, path), size, path);
    } catch (error) {
      if (!(error instanceof NeedsMore)) throw error;
      if (wanted >= size || wanted >= MOST_HEADER_BYTES) {
        throw new UserError(`${path} is truncated or damaged: it ends before its tensors are described.`);
      }
    }
  }
}

async function readAt(file: Deno.FsFile, position: number, target: Uint8Array, path: string): Promise<void> {
  await file.seek(position, Deno.SeekMode.Start);
  for (let done = 0; done < target.length;) {
    const count = await file.read(target.subarray(done));
    if (count === null) throw new UserError(`${path} is truncated: it ends at byte ${position + done}.`);
    done += count;
  }
}

function parseHeader(
  reader: HeaderReader,
  size: number,
  path: string,
): Pick<GgufFile, "metadata" | "tensors"> {
  checkVersion(reader, size, path);
  const tensorCount = reader.count("tensors", 24, 1 << 16), entryCount = reader.count("entries", 13, 1 << 16);
  const metadata: Metadata = new Map();
  for (let i = 0; i < entryCount; i++) {
    const key = reader.text("a key");
    if (metadata.has(key)) throw new UserError(`${path}: the key ${JSON.stringify(key)} occurs twice.`);
    metadata.set(key, reader.value(key));
  }
  const splits = metadata.get("split.count")?.value;
  if (splits !== undefined && splits !== 0 && splits !== 1) {
    throw new UserError(`${path} is one of ${splits} parts: join them first (llama-gguf-split --merge).`);
  }
  const alignment = metadata.get("general.alignment")?.value ?? ALIGNMENT;
  if (
    typeof alignment !== "number" || ![8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096].includes(alignment)
  ) {
    throw new UserError(`${path}: general.alignment is ${JSON.stringify(alignment)}, no sensible number.`);
  }
  const described = Array.from({ length: tensorCount }, () => describe(reader, path));
  const begin = aligned(reader.position(), alignment);
  return { metadata, tensors: placed(described, begin, alignment, size, path) };
}

function checkVersion(reader: HeaderReader, size: number, path: string): void {
  if (size < 24 || reader.u32() !== MAGIC) throw new UserError(`${path} is no GGUF file.`);
  const version = reader.u32();
  if (version === 2 || version === 3) return;
  throw new UserError(
    version === 0x02000000 || version === 0x03000000
      ? `${path} is a GGUF file in big-endian byte order, which is not supported.`
      : `${path} is a GGUF file of version ${version}; versions 2 and 3 are known.`,
  );
}

interface Described {
  name: string;
  type: GgmlType;
  shape: number[];
  offset: number;
}

function describe(reader: HeaderReader, path: string): Described {
  const name = reader.text("a tensor's name"), where = `${path}, tensor ${JSON.stringify(name)}`;
  const dimensions = reader.u32();
  if (dimensions < 1 || dimensions > 4) {
    throw new UserError(`${where} has ${dimensions} dimensions; 1 to 4 are possible.`);
  }
  const shape = Array.from({ length: dimensions }, () => reader.u64()).toReversed();
  if (!shape.every((size) => size >= 1) || !Number.isSafeInteger(elementCount(shape))) {
    throw new UserError(`${where}: impossible shape [${shape}].`);
  }
  const id = reader.u32(), type = ggmlType(id);
  if (!type) {
    throw new UserError(
      `${where} is in llama.cpp's number format ${id}, which is not known here (${
        Object.keys(ggmlTypes).join(", ")
      } are): take the model in another one.`,
    );
  }
  if (shape.at(-1)! % ggmlTypes[type].block !== 0) {
    throw new UserError(`${where}: rows of ${shape.at(-1)} numbers are no whole blocks of ${type}.`);
  }
  return { name, type, shape, offset: reader.u64() };
}

/** Every tensor inside the file, at its alignment, none over another, no name twice. */
function placed(
  described: readonly Described[],
  begin: number,
  alignment: number,
  size: number,
  path: string,
): Map<string, GgufTensorInfo> {
  const tensors = new Map<string, GgufTensorInfo>();
  let position = begin;
  for (const { name, type, shape, offset } of [...described].sort((a, b) => a.offset - b.offset)) {
    const where = `${path}, tensor ${JSON.stringify(name)}`, start = begin + offset;
    const end = start + ggmlBytes(type, elementCount(shape));
    if (tensors.has(name)) throw new UserError(`${where} occurs twice.`);
    if (offset % alignment !== 0) throw new UserError(`${where}: its data begin at ${offset}, not aligned.`);
    if (end > size || !Number.isSafeInteger(end)) {
      throw new UserError(
        `${where}: its data end at byte ${end}, the file at ${size}: the file is truncated, fetch it again.`,
      );
    }
    if (start < position) throw new UserError(`${where}: its data overlap another tensor's.`);
    position = end;
    tensors.set(name, { type, shape, begin: start, end });
  }
  return tensors;
}
