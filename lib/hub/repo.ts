// A repository at one commit: which files it has, by the Hub or by what the cache remembers, and fetching some of them.
import { join } from "@std/path";
import { UserError } from "../errors.ts";
import { apiFetch, noHub } from "./api.ts";
import {
  blobName,
  checkedFile,
  isCommit,
  placeFile,
  readRef,
  readTree,
  type RepoFile,
  snapshotFolder,
  storageFolder,
  tagCache,
  withLock,
  writeRef,
  writeTree,
} from "./cache.ts";
import { downloadBlob } from "./download.ts";
import { checkFileName, type Repo } from "./names.ts";
import { type ByteLine, byteLine } from "./progress.ts";
import { TRIES, TryAgain } from "./request.ts";
import type { HubSettings } from "./settings.ts";

/** A repository, its revision resolved. */
export interface OpenRepo {
  repo: Repo;
  settings: HubSettings;
  commit: string;
  /** Where its files are found once fetched. */
  folder: string;
  /** All files by path; where the Hub cannot be asked, those that are in the cache. */
  files: Map<string, RepoFile | "cached">;
}

/**
 * Finds a repository's commit and files. One request where the listing is in the cache, none for a commit; without network the
 * commit that the branch had last time.
 *
 * @throws UserError when the Hub refuses, or it cannot be reached and the cache has nothing
 */
export async function openRepo(repo: Repo, settings: HubSettings): Promise<OpenRepo> {
  const commit = await resolveRevision(repo, settings);
  const folder = snapshotFolder(settings, repo, commit);
  const files = await readTree(settings, repo, commit) ?? await listOrCached(repo, commit, folder, settings);
  return {
    repo,
    settings,
    commit,
    folder,
    files: Array.isArray(files) ? new Map(files.map((file) => [file.path, file])) : files,
  };
}

async function resolveRevision(repo: Repo, settings: HubSettings): Promise<string> {
  const known = await readRef(settings, repo);
  if (isCommit(repo.revision)) return repo.revision;
  if (settings.offline) return known ?? notCached(repo, settings);
  try {
    const { modelInfo, datasetInfo } = await import("@huggingface/hub");
    const wanted = {
      name: repo.id,
      revision: repo.revision,
      hubUrl: settings.endpoint,
      fetch: apiFetch(repo, settings, known ? 2 : TRIES),
    };
    const { sha } = repo.type === "model"
      ? await modelInfo({ ...wanted, additionalFields: ["sha"] })
      : await datasetInfo({ ...wanted, additionalFields: ["sha"] });
    if (!isCommit(String(sha))) throw noHub(settings);
    await writeRef(settings, repo, sha);
    return sha;
  } catch (error) {
    if (!known || !isUnreachable(error)) throw error;
    console.error(`${(error as Error).message} Going on with ${repo.id} as it is in the cache.`);
    return known;
  }
}

/** Lost connections, an overloaded Hub and missing permission for the network; not the Hub's own refusals. */
function isUnreachable(error: unknown): boolean {
  return error instanceof UserError && (error.cause instanceof TryAgain || /--allow-net/.test(error.message));
}

function notCached({ id, revision }: Repo, { cache }: HubSettings): never {
  throw new UserError(
    `${id} (revision "${revision}") is not in the cache ${cache}, and HF_HUB_OFFLINE is set: unset it, or fetch it once on a machine with network.`,
  );
}

async function listOrCached(
  repo: Repo,
  commit: string,
  folder: string,
  settings: HubSettings,
): Promise<RepoFile[] | Map<string, "cached">> {
  const cached = settings.offline ? await filesBelow(folder) : undefined;
  if (cached) return cached.size > 0 ? cached : notCached(repo, settings);
  try {
    const files = await listTree(repo, commit, settings);
    await writeTree(settings, repo, commit, files);
    return files;
  } catch (error) {
    const cached = isUnreachable(error) ? await filesBelow(folder) : undefined;
    if (!cached?.size) throw error;
    return cached;
  }
}

const MOST_FILES = 200_000;

async function listTree(repo: Repo, commit: string, settings: HubSettings): Promise<RepoFile[]> {
  const { listFiles } = await import("@huggingface/hub");
  const files: RepoFile[] = [];
  const entries = listFiles({
    repo: { type: repo.type, name: repo.id },
    revision: commit,
    recursive: true,
    hubUrl: settings.endpoint,
    fetch: apiFetch(repo, settings),
  });
  for await (const { type, path, size, oid, lfs, xetHash } of entries) {
    if (type !== "file") continue;
    if (files.length === MOST_FILES) {
      throw new UserError(`${repo.id} has more than ${MOST_FILES} files: too many to choose from.`);
    }
    files.push(checkedFile({ path, size: lfs?.size ?? size, oid: oid ?? "", sha256: lfs?.oid, xetHash }));
  }
  return files;
}

async function filesBelow(folder: string, inside = ""): Promise<Map<string, "cached">> {
  const found = new Map<string, "cached">();
  try {
    for await (const { name, isDirectory } of Deno.readDir(join(folder, inside))) {
      const path = inside ? `${inside}/${name}` : name;
      if (isDirectory) {
        for (const key of (await filesBelow(folder, path)).keys()) found.set(key, "cached");
      } else if (await isThere(join(folder, path))) found.set(path, "cached");
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found;
}

/** Files at once. */
const FILES_AT_ONCE = 4;

/**
 * Fetches files that are not in the cache, several at once. All of them must be in `files`.
 *
 * @returns their paths on disk, in the order asked for
 */
export async function fetchFiles(open: OpenRepo, paths: readonly string[], quiet = false): Promise<string[]> {
  const { repo, settings, folder } = open;
  const missing: RepoFile[] = [];
  for (const path of new Set(paths)) {
    checkFileName(path, repo.id);
    const file = open.files.get(path);
    if (await isThere(join(folder, path), file)) continue;
    if (file === undefined) {
      throw new UserError(`${repo.id} has no file ${path} at revision "${repo.revision}".`);
    }
    if (settings.offline || file === "cached") notCached({ ...repo, id: `${repo.id}/${path}` }, settings);
    missing.push(file);
  }
  if (missing.length > 0) {
    await tagCache(settings);
    await fetchMissing(open, missing, quiet || settings.quiet);
  }
  return paths.map((path) => join(folder, path));
}

/** Whole, and through links: one whose blob is gone is not there. */
async function isThere(path: string, file?: RepoFile | "cached"): Promise<boolean> {
  try {
    const { isFile, size } = await Deno.stat(path);
    return isFile && (typeof file !== "object" || size === file.size);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function fetchMissing(open: OpenRepo, files: RepoFile[], quiet: boolean): Promise<void> {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const line = byteLine({
    label: files.length === 1 ? `${open.repo.id}/${files[0].path}` : open.repo.id,
    total,
    quiet,
  });
  const queue = [...files].sort((a, b) => b.size - a.size); // the longest is begun first
  const failures: unknown[] = [];
  const work = async () => {
    for (let file; failures.length === 0 && (file = queue.shift());) {
      await fetchFile(open, file, line).catch((error) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, work));
  line.finish();
  if (failures.length > 0) throw failures[0];
}

async function fetchFile(open: OpenRepo, file: RepoFile, line: ByteLine): Promise<void> {
  const { repo, settings, folder } = open;
  const blob = join(storageFolder(settings, repo), "blobs", blobName(file));
  await withLock(settings, repo, blobName(file), async () => {
    await Deno.mkdir(join(blob, ".."), { recursive: true });
    const isNew = !await isThere(blob, file);
    if (isNew) {
      await downloadBlob({ repo, settings, file, blob, address: fileAddress(open, file), onBytes: line.add });
    } else line.add(file.size);
    if (!await isThere(join(folder, file.path), file)) {
      await placeFile(settings, blob, folder, file.path, isNew);
    }
  });
}

function fileAddress({ repo, settings, commit }: OpenRepo, { path }: RepoFile): string {
  const folder = repo.type === "dataset" ? "datasets/" : "";
  return `${settings.endpoint}/${folder}${repo.id}/resolve/${commit}/${
    path.split("/").map(encodeURIComponent).join("/")
  }`;
}
