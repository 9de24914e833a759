// A Hugging Face model folder's weights: one safetensors file, or shards with an index, seen as one set of tensors.

import { join } from "@std/path";
import { UserError } from "../errors.ts";
import { exists } from "./exists.ts";
import { fileError } from "./file_error.ts";
import { openSafetensors, type SafetensorsFile, type TensorInfo } from "./safetensors.ts";

/** A folder's weights: tensors of all shards by name, read one at a time. */
export interface Checkpoint {
  /** All tensors by name. */
  tensors: Map<string, TensorInfo>;
  /** The whole tensor's bytes. */
  read(name: string): Promise<Uint8Array<ArrayBuffer>>;
  /** Fills `target` with the tensor's bytes from `byteOffset` on. */
  readInto(name: string, target: Uint8Array, byteOffset?: number): Promise<void>;
  /** Gives the files back to the system. */
  close(): void;
}

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/**
 * Opens the weights of a model folder: `model.safetensors`, else the shards that `model.safetensors.index.json` lists.
 * Only headers are read. Close it when done.
 *
 * @param folder the model's folder
 * @throws UserError when neither is there, a shard is missing, or a shard lacks a tensor that the index promises
 */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  if (await exists(join(folder, SINGLE))) return await openSafetensors(join(folder, SINGLE));
  if (await exists(join(folder, INDEX))) {
    return await openShards(folder, await readIndex(join(folder, INDEX)));
  }
  throw new UserError(
    `${folder} has no weights: expected ${SINGLE}, or ${INDEX} with its shards (other formats must be converted first).`,
  );
}

async function openShards(folder: string, fileOf: Map<string, string>): Promise<Checkpoint> {
  const shards = new Map<string, SafetensorsFile>();
  const close = () => shards.forEach((shard) => shard.close());
  try {
    for (const file of new Set(fileOf.values())) shards.set(file, await openShard(folder, file));
    const { tensors, home } = collect(folder, fileOf, shards);
    const shardOf = (name: string): SafetensorsFile => {
      const shard = home.get(name);
      if (!shard) throw new UserError(`${folder} has no tensor "${name}".`);
      return shard;
    };
    return {
      tensors,
      read: async (name) => await shardOf(name).read(name),
      readInto: async (name, target, byteOffset) => await shardOf(name).readInto(name, target, byteOffset),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

async function openShard(folder: string, file: string): Promise<SafetensorsFile> {
  if (!await exists(join(folder, file))) {
    throw new UserError(`${folder}: the shard ${file}, listed in ${INDEX}, is missing: fetch it again.`);
  }
  return await openSafetensors(join(folder, file));
}

/** The index decides which shard a name belongs to; a tensor that it does not list is taken from where it lies. */
function collect(
  folder: string,
  fileOf: Map<string, string>,
  shards: Map<string, SafetensorsFile>,
): { tensors: Map<string, TensorInfo>; home: Map<string, SafetensorsFile> } {
  const tensors = new Map<string, TensorInfo>(), home = new Map<string, SafetensorsFile>();
  for (const [file, shard] of shards) {
    for (const [name, info] of shard.tensors) {
      if ((fileOf.get(name) ?? file) !== file) continue;
      tensors.set(name, info);
      home.set(name, shard);
    }
  }
  for (const [name, file] of fileOf) {
    if (!tensors.has(name)) {
      throw new UserError(`${folder}: ${file} lacks the tensor "${name}" that ${INDEX} promises.`);
    }
  }
  return { tensors, home };
}

async function readIndex(path: string): Promise<Map<string, string>> {
  const text = await Deno.readTextFile(path).catch((error) => Promise.reject(fileError(error, path, "read")));
  let map: unknown;
  try {
    map = JSON.parse(text)?.weight_map;
  } catch {
    throw new UserError(`${path} is not valid JSON.`);
  }
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw new UserError(`${path} has no "weight_map" object.`);
  }
  const entries = Object.entries(map);
  for (const [name, file] of entries) {
    // A plain file name: an index must not lead out of its folder.
    if (typeof file !== "string" || !/^[^/\\\p{Cc}]+\.safetensors$/u.test(file)) {
      throw new UserError(
        `${path}: tensor "${name}" is said to lie in ${JSON.stringify(file)}, which is no shard.`,
      );
    }
  }
  return new Map(entries as [string, string][]);
}
