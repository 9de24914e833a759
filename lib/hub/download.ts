// One file from the Hub to one blob: in parts at once where it is large, going on where an earlier try ended, and kept only
// when its hash is the one that the Hub lists.
//
// The unfinished file (<etag>.incomplete) is always the file's beginning without holes: parts are written in order, the later
// ones wait in memory. So its length alone says where to go on, for this library and for others.
import { createHash, type Hash } from "node:crypto";
import { UserError } from "../errors.ts";
import { fileError } from "../formats/file_error.ts";
import { formatBytes } from "../report/format.ts";
import { blobName, type RepoFile } from "./cache.ts";
import { fetchInOrder, type Source } from "./parts.ts";

/** What to fetch and where to. */
export interface Download extends Source {
  file: RepoFile;
  /** Path of the finished blob. */
  blob: string;
  /** Told of bytes as they come; negative when they are dropped again. */
  onBytes(bytes: number): void;
}

/**
 * Fetches a file whole and checks it.
 *
 * @throws UserError when the Hub refuses, the connection does not last, the content is not what the listing promised, or the
 *   disk is full; what was fetched stays for the next try unless it is wrong
 */
export async function downloadBlob(download: Download): Promise<void> {
  const partial = `${download.blob}.incomplete`;
  try {
    const resumed = await attempt(download, partial);
    // What was there before may have been the wrong part; what came in one piece and is wrong may have been a passing fault.
    if (resumed === "wrong" && await attempt(download, partial) === "wrong") throw wrongHash(download);
    await Deno.rename(partial, download.blob);
  } catch (error) {
    if (/os error (28|112|122)\)|ENOSPC|No space left/.test(String((error as Error)?.message))) {
      throw new UserError(
        `The disk is full: ${download.file.path} needs ${
          formatBytes(download.file.size)
        } in ${download.blob}. Make room, or set HF_HUB_CACHE to another disk; what was fetched is kept.`,
      );
    }
    throw fileError(error, download.blob, "write");
  }
}

/** Fetches what is missing. A file that turns out wrong is removed. */
async function attempt(download: Download, partial: string): Promise<"right" | "wrong"> {
  const { file, onBytes } = download;
  using target = await Deno.open(partial, { read: true, write: true, create: true });
  let have = (await target.stat()).size;
  if (have > file.size) have = 0;
  await target.truncate(have);
  let hash = await hashOfPrefix(file, target, have);
  onBytes(have);
  const sink = {
    async write(bytes: Uint8Array): Promise<void> {
      hash.update(bytes);
      for (let done = 0; done < bytes.length;) done += await target.write(bytes.subarray(done));
    },
    async restart(): Promise<void> {
      await target.truncate(0);
      await target.seek(0, Deno.SeekMode.Start);
      hash = newHash(file);
    },
  };
  await fetchInOrder(download, have, file.size, sink);
  if (hash.digest("hex") !== blobName(file)) {
    onBytes(-file.size);
    await Deno.remove(partial);
    return "wrong";
  }
  await target.sync();
  return "right";
}

/** Large files are named by their SHA-256, small ones as git names blobs: SHA-1 of a header and the content. */
function newHash(file: RepoFile): Hash {
  return file.sha256 ? createHash("sha256") : createHash("sha1").update(`blob ${file.size}\0`);
}

async function hashOfPrefix(file: RepoFile, source: Deno.FsFile, bytes: number): Promise<Hash> {
  const hash = newHash(file), piece = new Uint8Array(1 << 20);
  for (let done = 0; done < bytes;) {
    const count = await source.read(piece);
    if (!count) {
      throw new UserError(
        `${file.path} is being written by another program too: try again when that is done.`,
      );
    }
    hash.update(piece.subarray(0, count));
    done += count;
  }
  return hash;
}

function wrongHash({ file, repo }: Download): UserError {
  return new UserError(
    `${repo.id}: ${file.path} came twice with another content than its hash on the Hub (${
      blobName(file).slice(0, 12)
    }…) says: nothing of it is kept. Try again later, or from another network.`,
  );
}
