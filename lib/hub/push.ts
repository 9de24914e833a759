// Files into a repository of the Hub: what of them is missing there, and one commit of just that. Large files that storage
// has are not sent again, so a push that was cut goes on where it was.
import { createHash } from "node:crypto";
import { resolve, toFileUrl } from "@std/path";
import { UserError } from "../errors.ts";
import { fileError } from "../formats/file_error.ts";
import { apiFetch, noHub } from "./api.ts";
import { checkedFile, isCommit, type RepoFile } from "./cache.ts";
import type { Repo } from "./names.ts";
import { byteLine } from "./progress.ts";
import { AddressRanOut, pushFetch, type Upload } from "./push_fetch.ts";
import { hubError, pushRefusal } from "./push_refusals.ts";
import { type SentXorbs, sentXorbs } from "./push_sent.ts";
import { pageOf } from "./refusals.ts";
import type { HubSettings } from "./settings.ts";

/** A file that is to be in a repository. */
export interface PushFile {
  /** Its path there, with slashes. */
  path: string;
  /** Bytes. */
  size: number;
  /** What it holds: a path here, or the bytes. */
  content: string | Uint8Array<ArrayBuffer>;
}

/** A repository as it is now. */
export interface RemoteRepo {
  commit: string;
  isPrivate: boolean;
  files: Map<string, RepoFile>;
}

/** How a file here stands to the repository. */
export type FileState = "new" | "replaced" | "there";

/** Options of {@linkcode pushFiles}. */
export interface PushFilesOptions {
  /** Visibility of a repository that has to be made. */
  isPrivate: boolean;
  /** First line of the commit. */
  message: string;
  /** The repository as it was when the push was decided on; undefined: it has to be made. */
  remote?: RemoteRepo;
  quiet?: boolean;
  signal?: AbortSignal;
}

/** What {@linkcode pushFiles} did. */
export interface PushedFiles {
  /** The repository's page. */
  url: string;
  /** The commit that has all of it. */
  commit: string;
  /** Bytes of large files that were sent. */
  sent: number;
}

/** Refuses before anything is asked: nobody to push as. */
export function checkMayPush({ token, offline }: HubSettings): void {
  if (offline) {
    throw new UserError("HF_HUB_OFFLINE is set, and publishing needs the Hub: unset it.");
  }
  if (!token) {
    throw new UserError(
      'Publishing needs a token: set HF_TOKEN to one with write access, or run "hf auth login".',
    );
  }
  if (!token.startsWith("hf_")) throw new UserError("The token is none of the Hub's: those begin with hf_.");
}

/** Looks at a repository; undefined where there is none. */
export async function readRemote(repo: Repo, settings: HubSettings): Promise<RemoteRepo | undefined> {
  const { listFiles, modelInfo, repoExists, spaceInfo } = await import("@huggingface/hub");
  const access = { hubUrl: settings.endpoint, accessToken: settings.token! };
  const name = { type: repo.type, name: repo.id };
  const exists = await hubError(
    settings,
    repo,
    () => repoExists({ repo: name, ...access, fetch: pushFetch(settings, repo) }),
  );
  if (!exists) return undefined;
  const wanted = { name: repo.id, hubUrl: settings.endpoint, fetch: apiFetch(repo, settings) };
  const { sha, private: isPrivate } = repo.type === "space"
    ? await spaceInfo({ ...wanted, additionalFields: ["sha"] })
    : await modelInfo({ ...wanted, additionalFields: ["sha"] });
  if (!isCommit(String(sha))) throw noHub(settings);
  const files = new Map<string, RepoFile>();
  const entries = listFiles({ repo: name, revision: sha, recursive: true, ...wanted });
  for await (const { type, path, size, oid, lfs } of entries) {
    if (type !== "file") continue;
    files.set(path, checkedFile({ path, size: lfs?.size ?? size, oid: oid ?? "", sha256: lfs?.oid }));
  }
  return { commit: sha, isPrivate, files };
}

/** What pushing a file would do. Only files of the same size are read. */
export async function fileState(file: PushFile, remote: RemoteRepo | undefined): Promise<FileState> {
  const there = remote?.files.get(file.path);
  if (!there) return "new";
  if (there.size !== file.size) return "replaced";
  const hash = there.sha256 ? createHash("sha256") : createHash("sha1").update(`blob ${file.size}\0`);
  for await (const piece of piecesOf(file)) hash.update(piece);
  return hash.digest("hex") === (there.sha256 ?? there.oid) ? "there" : "replaced";
}

async function* piecesOf({ content }: PushFile): AsyncGenerator<Uint8Array> {
  if (typeof content !== "string") return yield content;
  try {
    yield* (await Deno.open(content)).readable;
  } catch (error) {
    throw fileError(error, content, "read");
  }
}

async function changedFiles(files: readonly PushFile[], remote: RemoteRepo): Promise<PushFile[]> {
  const changed: PushFile[] = [];
  for (const file of files) {
    if (await fileState(file, remote) !== "there") changed.push(file);
  }
  return changed;
}

/**
 * Makes the repository where there is none, and commits the files that are missing in it or others there. Nothing is removed.
 *
 * @throws UserError when the Hub refuses, somebody else pushes meanwhile, or the connection does not last; what storage has by
 *   then is not sent again by the next push
 */
export async function pushFiles(
  repo: Repo,
  files: readonly PushFile[],
  settings: HubSettings,
  options: PushFilesOptions,
): Promise<PushedFiles> {
  let { remote } = options;
  if (!remote) {
    await createRepository(repo, settings, options.isPrivate);
    remote = await readRemote(repo, settings);
    if (!remote) throw pushRefusal(settings, repo, 404);
  }
  const missing = await changedFiles(files, remote), url = pageOf(settings, repo);
  if (missing.length === 0) return { url, commit: remote.commit, sent: 0 };
  const xorbs = await sentXorbs(settings, repo);
  let sent = 0, shown = 0;
  const total = missing.reduce((sum, { size }) => sum + size, 0);
  const line = byteLine({ label: repo.id, total, quiet: options.quiet || settings.quiet });
  const onBytes = (bytes: number, isSent: boolean) => {
    shown += bytes;
    if (isSent) sent += bytes;
    line.add(bytes);
  };
  try {
    const upload = { signal: options.signal, onBytes, sent: xorbs };
    const commit = await commitMissing(repo, missing, settings, remote, options.message, upload);
    line.add(total - shown); // what storage had, and small files, which the commit itself carries
    await xorbs.forget();
    return { url, commit, sent };
  } finally {
    line.finish();
  }
}

async function createRepository(repo: Repo, settings: HubSettings, isPrivate: boolean): Promise<void> {
  const { createRepo } = await import("@huggingface/hub");
  for (let tries = 1;; tries++) {
    try {
      await createRepo({
        repo: { type: repo.type as "model" | "space", name: repo.id },
        visibility: isPrivate ? "private" : "public",
        ...(repo.type === "space" ? { sdk: "docker" } : {}),
        accessToken: settings.token!,
        hubUrl: settings.endpoint,
        fetch: pushFetch(settings, repo),
      });
      return;
    } catch (error) {
      const { statusCode, message } = error as { statusCode?: number; message: string };
      if (statusCode !== 409) return await hubError(settings, repo, () => Promise.reject(error));
      // Made by a try whose answer was lost, or the account makes another one at this moment.
      if (!/conflicting operation/i.test(message)) return;
      if (tries === 5) throw pushRefusal(settings, repo, 409, "another repository is being made");
      await settings.sleep(1000 * tries);
    }
  }
}

/** Signed addresses hold for an hour or so: the Hub is asked for new ones so often. */
const MOST_ROUNDS = 5;

async function commitMissing(
  repo: Repo,
  files: readonly PushFile[],
  settings: HubSettings,
  remote: RemoteRepo,
  title: string,
  upload: Upload & { sent: SentXorbs },
): Promise<string> {
  const { commit } = await import("@huggingface/hub");
  const operations = files.map(({ path, content }) => ({
    operation: "addOrUpdate" as const,
    path,
    content: typeof content === "string" ? toFileUrl(resolve(content)) : new Blob([content]),
  }));
  for (let round = 1;; round++) {
    try {
      const made = await commit({
        repo: { type: repo.type, name: repo.id },
        title,
        operations,
        parentCommit: remote.commit,
        accessToken: settings.token!,
        hubUrl: settings.endpoint,
        useXet: !settings.withoutXet,
        fetch: pushFetch(settings, repo, upload),
        abortSignal: upload.signal,
      });
      if (!isCommit(String(made?.commit.oid))) throw noHub(settings);
      return made!.commit.oid;
    } catch (error) {
      upload.signal?.throwIfAborted();
      if (error instanceof AddressRanOut && round < MOST_ROUNDS) {
        await upload.sent.forget(); // storage may have forgotten a block
        continue;
      }
      const status = (error as { statusCode?: number }).statusCode;
      if (status === 409 || status === 412) return await landed(repo, files, settings);
      return await hubError(settings, repo, () => Promise.reject(error));
    }
  }
}

/** After a conflict: it was this push whose answer was lost, or somebody else's. */
async function landed(repo: Repo, files: readonly PushFile[], settings: HubSettings): Promise<string> {
  const now = await readRemote(repo, settings);
  if (now && (await changedFiles(files, now)).length === 0) return now.commit;
  throw new UserError(
    `Somebody else has pushed to ${repo.id} meanwhile: look at it on ${
      pageOf(settings, repo)
    }, and push again.`,
  );
}
