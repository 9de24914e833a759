// The cache on disk, laid out as Python's huggingface_hub lays it out (file_download.py), so that both share every file:
// models--owner--name/{blobs/<etag>, refs/<revision>, snapshots/<commit>/<file> -> blob, trees/<commit>.json} and .locks beside.
import { dirname, join } from "@std/path";
import { UserError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { fileError } from "../formats/file_error.ts";
import type { Repo } from "./names.ts";
import type { HubSettings } from "./settings.ts";

/** A file of a repository at one commit. */
export interface RepoFile {
  /** Path inside the repository, with slashes. */
  path: string;
  /** Bytes; for large files those of the file, not of its pointer. */
  size: number;
  /** SHA-1 of the git blob: of the file, or of the pointer to a large file. */
  oid: string;
  /** SHA-256 of a large file (LFS, Xet). */
  sha256?: string;
  /** Where Xet has it; kept for huggingface_hub, which shares the listing. */
  xetHash?: string;
}

const COMMIT = /^[0-9a-f]{40}$/;
/** Whether a revision is a commit itself. */
export const isCommit = (revision: string): boolean => COMMIT.test(revision);

/** What a blob is called: the hash of its content. */
export const blobName = (file: RepoFile): string => file.sha256 ?? file.oid;

/** models--owner--name */
const folderName = ({ type, id }: Repo) => [`${type}s`, ...id.split("/")].join("--");

/** A repository's folder in the cache. */
export const storageFolder = (settings: HubSettings, repo: Repo): string =>
  join(settings.cache, folderName(repo));

/** The folder that looks like the repository at a commit. */
export const snapshotFolder = (settings: HubSettings, repo: Repo, commit: string): string =>
  join(storageFolder(settings, repo), "snapshots", commit);

/** The file's text, or undefined where there is no such file. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw fileError(error, path, "read");
  }
}

/** The commit that a branch or tag had when it was last asked for. */
export async function readRef(settings: HubSettings, repo: Repo): Promise<string | undefined> {
  if (isCommit(repo.revision)) return repo.revision;
  const text = await readText(join(storageFolder(settings, repo), "refs", repo.revision));
  return text !== undefined && isCommit(text.trim()) ? text.trim() : undefined;
}

/** Remembers a branch's or tag's commit. A cache that may only be read is fine as long as nothing has to be fetched. */
export async function writeRef(settings: HubSettings, repo: Repo, commit: string): Promise<void> {
  if (repo.revision === commit || await readRef(settings, repo) === commit) return;
  const path = join(storageFolder(settings, repo), "refs", repo.revision);
  await writeIfPossible(path, commit);
}

interface TreeEntry {
  size: number;
  blob_id: string;
  lfs_sha256?: string;
  lfs_size?: number;
  xet_hash?: string;
}

/** The listing of a commit, if it was fetched before, by this library or huggingface_hub; anything odd in it is as good as none. */
export async function readTree(
  settings: HubSettings,
  repo: Repo,
  commit: string,
): Promise<RepoFile[] | undefined> {
  const text = await readText(treePath(settings, repo, commit));
  try {
    const tree = JSON.parse(text ?? "null");
    if (tree?.format_version !== 1) return undefined;
    return Object.entries(tree.files as Record<string, TreeEntry>).map(([path, entry]) =>
      checkedFile({
        path,
        size: entry.lfs_size ?? entry.size,
        oid: entry.blob_id,
        sha256: entry.lfs_sha256 ?? undefined,
        xetHash: entry.xet_hash ?? undefined,
      })
    );
  } catch {
    return undefined;
  }
}

/** Keeps the listing of a commit, which never changes. */
export async function writeTree(
  settings: HubSettings,
  repo: Repo,
  commit: string,
  files: RepoFile[],
): Promise<void> {
  const entry = ({ size, oid, sha256, xetHash }: RepoFile): TreeEntry => ({
    size,
    blob_id: oid,
    ...(sha256 && { lfs_sha256: sha256, lfs_size: size }),
    ...(xetHash && { xet_hash: xetHash }),
  });
  const entries = Object.fromEntries(files.map((file) => [file.path, entry(file)]));
  await writeIfPossible(
    treePath(settings, repo, commit),
    JSON.stringify({ format_version: 1, files: entries }, null, 1),
  );
}

const treePath = (settings: HubSettings, repo: Repo, commit: string) =>
  join(storageFolder(settings, repo), "trees", `${commit}.json`);

/** Tells backup programs that what lies here can be fetched again (Cache Directory Tagging Standard). */
export async function tagCache({ cache }: HubSettings): Promise<void> {
  const path = join(cache, "CACHEDIR.TAG");
  if (await readText(path) === undefined) {
    await writeIfPossible(
      path,
      "Signature: 8a477f597d28d172789f06886806bc55\n# Files from the Hub, as huggingface_hub keeps them.\n",
    );
  }
}

async function writeIfPossible(path: string, text: string): Promise<void> {
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    await writeFileAtomic(path, text);
  } catch {
    // Only a memory of what the Hub said: a cache that cannot be written fails where a file must be kept.
  }
}

/** A listing's entry whose hashes and size are what they should be: hashes become file names. */
export function checkedFile(file: RepoFile): RepoFile {
  const { path, size, oid, sha256, xetHash } = file;
  const fits = typeof path === "string" && Number.isSafeInteger(size) && size >= 0 && COMMIT.test(oid) &&
    (sha256 === undefined || /^[0-9a-f]{64}$/.test(sha256));
  if (!fits) {
    throw new UserError(`The listing of the repository's files is malformed at ${JSON.stringify(path)}.`);
  }
  return { path, size, oid, sha256, xetHash: /^[0-9a-f]{64}$/.test(xetHash ?? "") ? xetHash : undefined };
}

/** Makes the snapshot's file point to its blob; where links are not possible the blob moves (or, if it was there before, is copied). */
export async function placeFile(
  settings: HubSettings,
  blob: string,
  snapshot: string,
  path: string,
  isNew: boolean,
): Promise<void> {
  const pointer = join(snapshot, path);
  await Deno.mkdir(dirname(pointer), { recursive: true });
  await Deno.remove(pointer).catch(() => {}); // a link to a blob that is gone
  if (settings.symlinks) {
    const up = "../".repeat(path.split("/").length + 1);
    try {
      return await Deno.symlink(`${up}blobs/${blob.split(/[/\\]/).at(-1)}`, pointer, { type: "file" });
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) return; // another process was quicker
    }
  }
  await (isNew ? Deno.rename(blob, pointer) : Deno.copyFile(blob, pointer));
}

/** Runs an action while this process alone works on the blob; huggingface_hub takes the same lock. */
export async function withLock<T>(
  settings: HubSettings,
  repo: Repo,
  blob: string,
  action: () => Promise<T>,
): Promise<T> {
  const path = join(settings.cache, ".locks", folderName(repo), `${blob}.lock`);
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    using file = await Deno.open(path, { create: true, write: true });
    await lock(file, settings, blob);
    return await action();
  } catch (error) {
    throw fileError(error, settings.cache, "write");
  }
}

async function lock(file: Deno.FsFile, settings: HubSettings, blob: string): Promise<void> {
  try {
    if (await file.tryLock(true)) return;
    if (!settings.quiet) console.error(`waiting for another process that downloads ${blob.slice(0, 12)}`);
    await file.lock(true);
  } catch {
    // Some network file systems have no locks. Whole files are renamed into place under their hash: at worst one is fetched twice.
  }
}
