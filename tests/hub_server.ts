// A Hub on loopback that speaks the real one's protocol, as huggingface_hub's file_download.py, hf_api.py and utils/_http.py expect
// it: small files by a redirect to /api/resolve-cache, large ones (LFS, Xet) by a redirect to a storage host under another name
// and port. Faults are scripted; every request is written down.
import { createHash } from "node:crypto";

/** A repository: files by path at each commit, branches and tags. */
export interface HubRepo {
  files: Record<string, string | Uint8Array>;
  /** Other revisions with files of their own, by name ("refs/convert/parquet", "v1"). */
  revisions?: Record<string, Record<string, string | Uint8Array>>;
  gated?: boolean;
  private?: boolean;
  /** The YAML head of its README, read. */
  cardData?: Record<string, unknown>;
  /** Entries added to the listing, or changed in it, as a hostile or broken Hub would. */
  listing?: (entries: TreeEntry[]) => TreeEntry[];
}

export interface TreeEntry {
  type: "file" | "directory";
  path: string;
  size: number;
  oid: string;
  lfs?: { oid: string; size: number; pointerSize: number };
  xetHash?: string;
}

/** What to do with a request instead of, or while, answering it. */
export interface Fault {
  status?: number;
  headers?: Record<string, string>;
  body?: string;
  /** Close the connection after so many bytes of the body. */
  cut?: number;
  /** Say nothing more after so many bytes of the body. */
  silence?: number;
  /** Change the body's byte at this place. */
  corrupt?: number;
  /** Send this many more bytes than there are. */
  extra?: number;
  /** Send the whole whatever range was asked for. */
  noRanges?: boolean;
  /** Do what was asked, and lose the answer. */
  lost?: boolean;
}

export interface HubRequest {
  server: "hub" | "storage";
  method: string;
  /** Without query. */
  path: string;
  authorization?: string;
  range?: string;
  ifRange?: string;
  /** Bytes of the request's body. */
  sent: number;
  status: number;
}

export interface HubServer extends AsyncDisposable {
  url: string;
  storageHost: string;
  log: HubRequest[];
  /** Asked for every request; the first fault that is given applies. */
  fault: (request: HubRequest, count: number) => Fault | undefined;
  repos: Record<string, HubRepo>;
  /** Files per page of a listing. */
  pageSize: number;
  /** What else the servers answer; undefined: nothing of it was asked for. */
  more?: (request: Request, server: "hub" | "storage") => Promise<Response | undefined>;
  commit(repo: string, revision?: string): string;
}

export const TOKEN = "hf_loopbackTokenForTests";
/** Runs an action with these environment variables; an empty one is as good as none. */
export async function withVariables<T>(
  variables: Record<string, string>,
  action: () => Promise<T>,
): Promise<T> {
  const before = Object.keys(variables).map((name) => [name, Deno.env.get(name)] as const);
  for (const [name, value] of Object.entries(variables)) Deno.env.set(name, value);
  try {
    return await action();
  } finally {
    for (const [name, value] of before) {
      value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
    }
  }
}

/** What a process needs to use this Hub and this cache alone. */
export const variablesFor = (hub: HubServer, cache: string): Record<string, string> => ({
  HF_ENDPOINT: hub.url,
  HF_HUB_CACHE: cache,
  HF_TOKEN: TOKEN,
  HF_HUB_OFFLINE: "",
  HF_HUB_DISABLE_PROGRESS_BARS: "1",
});

export const bytesOf = (content: string | Uint8Array) =>
  typeof content === "string" ? new TextEncoder().encode(content) : content;
const hex = (algorithm: string, ...parts: (string | Uint8Array)[]) =>
  parts.reduce((hash, part) => hash.update(part), createHash(algorithm)).digest("hex");
export const sha256 = (content: string | Uint8Array) => hex("sha256", bytesOf(content));
export const gitBlob = (content: string | Uint8Array) =>
  hex("sha1", `blob ${bytesOf(content).length}\0`, bytesOf(content));
/** Whether the Hub keeps a file of this name as a large one. */
export const isLarge = (path: string) => /\.(safetensors|parquet|bin|gguf|onnx|png)$/.test(path);

/** Starts both servers. `repos` by "models/owner/name", "datasets/owner/name" and "spaces/owner/name". */
export function startHub(repos: Record<string, HubRepo>): HubServer {
  const hub: HubServer = {
    url: "",
    storageHost: "",
    log: [],
    fault: () => undefined,
    repos,
    pageSize: 1000,
    commit: (name, revision = "main") => commitOf(name, filesAt(hub.repos[name], revision)!),
    async [Symbol.asyncDispose]() {
      await Promise.all([main.shutdown(), storage.shutdown()]);
    },
  };
  const options = { hostname: "127.0.0.1", port: 0, onListen: () => {}, onError: broken };
  const main = Deno.serve(options, (request) => logged(hub, "hub", request, answerHub));
  const storage = Deno.serve(options, (request) => logged(hub, "storage", request, answerStorage));
  hub.url = `http://127.0.0.1:${main.addr.port}`;
  hub.storageHost = `localhost:${storage.addr.port}`;
  return hub;
}

const broken = () => new Response("broken", { status: 500 });

function filesAt(
  repo: HubRepo | undefined,
  revision: string,
): Record<string, string | Uint8Array> | undefined {
  if (!repo) return undefined;
  return revision === "main" ? repo.files : repo.revisions?.[revision];
}

function commitOf(name: string, files: Record<string, string | Uint8Array>): string {
  return hex("sha1", name, ...Object.entries(files).map(([path, content]) => `${path}${gitBlob(content)}`));
}

async function logged(
  hub: HubServer,
  server: "hub" | "storage",
  request: Request,
  answer: (hub: HubServer, request: Request) => Response,
): Promise<Response> {
  const header = (name: string) => request.headers.get(name) ?? undefined;
  const entry: HubRequest = {
    server,
    method: request.method,
    path: decodeURIComponent(new URL(request.url).pathname),
    authorization: header("authorization"),
    range: header("range"),
    ifRange: header("if-range"),
    sent: 0,
    status: 0,
  };
  const count = hub.log.filter(({ path, server: of }) => path === entry.path && of === server).length;
  hub.log.push(entry);
  const fault = hub.fault(entry, count);
  const headers = new Headers(request.headers);
  if (fault?.noRanges) headers.delete("range");
  const body = await request.arrayBuffer(); // whole, also where it is refused, as a proxy in front of the Hub takes it
  entry.sent = body.byteLength;
  const asked = () =>
    new Request(request.url, {
      method: request.method,
      headers,
      body: body.byteLength > 0 ? body : undefined,
    });
  const response = fault?.status
    ? new Response(fault.body ?? "", { status: fault.status, headers: fault.headers })
    : await hub.more?.(asked(), server) ?? answer(hub, asked());
  entry.status = response.status;
  if (fault?.lost) return new Response("the answer was lost", { status: 502 });
  return fault && !fault.status ? await spoiled(response, fault) : response;
}

/** The answer with its body cut, silent, changed or longer; its headers as before. */
async function spoiled(response: Response, fault: Fault): Promise<Response> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (fault.corrupt !== undefined && bytes.length > fault.corrupt) bytes[fault.corrupt] ^= 1;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(fault.headers ?? {})) headers.set(name, value);
  if (fault.extra) headers.delete("content-length");
  const end = fault.cut ?? fault.silence ?? bytes.length;
  const body = new ReadableStream({
    async start(controller) {
      controller.enqueue(bytes.subarray(0, end));
      if (fault.extra) controller.enqueue(new Uint8Array(fault.extra));
      await new Promise((done) => setTimeout(done, 20)); // what was sent should arrive before the connection breaks
      if (fault.cut !== undefined) controller.error(new Error("cut"));
      else if (fault.silence === undefined) controller.close();
    },
  });
  return new Response(body, { status: response.status, headers });
}

export const json = (value: unknown, headers: Record<string, string> = {}, status = 200) =>
  new Response(JSON.stringify(value), {
    status,
    headers: { "content-type": "application/json; charset=utf-8", ...headers },
  });

export function refuse(
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): Response {
  return json({ error: message }, { "x-error-code": code, "x-error-message": message, ...headers }, status);
}

interface Place {
  kind: "info" | "tree" | "resolve" | "resolve-cache";
  /** "models/owner/name" */
  name: string;
  revision: string;
  path: string;
}

function placeOf(url: URL): Place | undefined {
  const path = url.pathname;
  const api =
    /^\/api\/(models|datasets|spaces)\/([^/]+(?:\/[^/]+)?)(?:\/(revision|tree)\/([^/]+)(?:\/(.*))?)?$/
      .exec(path);
  if (api) {
    const [, type, id, kind = "revision", revision = "main", below = ""] = api;
    const decoded = decodeURIComponent(revision);
    return {
      kind: kind === "tree" ? "tree" : "info",
      name: `${type}/${id}`,
      revision: decoded === "HEAD" ? "main" : decoded,
      path: below,
    };
  }
  const cached = /^\/api\/resolve-cache\/(models|datasets|spaces)\/([^/]+\/[^/]+)\/([0-9a-f]{40})\/(.+)$/
    .exec(path);
  if (cached) {
    return {
      kind: "resolve-cache",
      name: `${cached[1]}/${cached[2]}`,
      revision: cached[3],
      path: decodeURIComponent(cached[4]),
    };
  }
  const resolve = /^\/(datasets\/|spaces\/)?([^/]+(?:\/[^/]+)?)\/resolve\/([^/]+)\/(.+)$/.exec(path);
  if (!resolve) return undefined;
  return {
    kind: "resolve",
    name: `${resolve[1]?.slice(0, -1) ?? "models"}/${resolve[2]}`,
    revision: decodeURIComponent(resolve[3]),
    path: decodeURIComponent(resolve[4]),
  };
}

function answerHub(hub: HubServer, request: Request): Response {
  const url = new URL(request.url), place = placeOf(url);
  if (!place) return refuse(404, "NotFound", "Not found");
  const repo = hub.repos[place.name], authorization = request.headers.get("authorization");
  if (authorization !== null && authorization !== `Bearer ${TOKEN}`) {
    return json({ error: "Invalid credentials in Authorization header" }, {
      "x-error-message": "Invalid credentials in Authorization header",
    }, 401);
  }
  // Without a token the Hub does not tell what is missing from what is private.
  if (!repo || repo.private && authorization === null) {
    return refuse(authorization === null ? 401 : 404, "RepoNotFound", "Repository not found");
  }
  const byCommit = [repo.files, ...Object.values(repo.revisions ?? {})].find((files) =>
    commitOf(place.name, files) === place.revision
  );
  const files = byCommit ?? filesAt(repo, place.revision);
  if (!files) return refuse(404, "RevisionNotFound", `Invalid rev id: ${place.revision}`);
  const commit = commitOf(place.name, files);
  if (place.kind === "info") return info(place, url.searchParams.getAll("expand"), repo, files, commit);
  if (place.kind === "tree") return tree(hub, url, repo, files);
  if (repo.gated && authorization === null) {
    return refuse(
      401,
      "GatedRepo",
      `Access to model ${place.name} is restricted. You must have access to it and be authenticated to access it. Please log in.`,
    );
  }
  const content = files[place.path];
  if (content === undefined) {
    return refuse(404, "EntryNotFound", "Entry not found", { "x-repo-commit": commit });
  }
  return resolve(hub, request, place, bytesOf(content), commit);
}

/** Everything, or the fields that were asked for. */
function info(
  { name }: Place,
  expand: string[],
  repo: HubRepo,
  files: HubRepo["files"],
  commit: string,
): Response {
  const id = name.slice(name.indexOf("/") + 1);
  const fields: Record<string, unknown> = {
    sha: commit,
    private: repo.private ?? false,
    gated: repo.gated ? "manual" : false,
    disabled: false,
    lastModified: "2024-05-01T12:00:00.000Z",
    createdAt: "2024-05-01T12:00:00.000Z",
    downloads: 7,
    likes: 0,
    tags: [],
    ...(repo.cardData && { cardData: repo.cardData }),
    siblings: Object.keys(files).map((rfilename) => ({ rfilename })),
  };
  const shown = Object.entries(fields).filter(([field]) => expand.length === 0 || expand.includes(field));
  return json({ _id: "6549" + commit.slice(0, 20), id, ...Object.fromEntries(shown) });
}

/** What the Hub lists of a file: for large ones the pointer's object id, and the file's hash in `lfs`. */
export function treeEntry(path: string, content: string | Uint8Array): TreeEntry {
  const size = bytesOf(content).length;
  if (!isLarge(path)) return { type: "file", path, size, oid: gitBlob(content) };
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(content)}\nsize ${size}\n`;
  const lfs = { oid: sha256(content), size, pointerSize: pointer.length };
  return { type: "file", path, size, oid: gitBlob(pointer), lfs };
}

function tree(hub: HubServer, url: URL, repo: HubRepo, files: HubRepo["files"]): Response {
  const folders = new Set(
    Object.keys(files).flatMap((path) =>
      path.split("/").slice(0, -1).map((_, i, all) => all.slice(0, i + 1).join("/"))
    ),
  );
  const entries: TreeEntry[] = [
    ...[...folders].map((path) => ({ type: "directory" as const, path, size: 0, oid: gitBlob(path) })),
    ...Object.entries(files).map(([path, content]) => treeEntry(path, content)),
  ];
  const listed = repo.listing?.(entries) ?? entries;
  const begin = Number(url.searchParams.get("cursor") ?? 0), end = begin + hub.pageSize;
  const next = new URL(url);
  next.searchParams.set("cursor", String(end));
  return json(listed.slice(begin, end), end < listed.length ? { link: `<${next}>; rel="next"` } : {});
}

function resolve(
  hub: HubServer,
  request: Request,
  place: Place,
  content: Uint8Array,
  commit: string,
): Response {
  const large = isLarge(place.path), etag = `"${large ? sha256(content) : gitBlob(content)}"`;
  const common = {
    "x-repo-commit": commit,
    "accept-ranges": "bytes",
    "x-linked-size": String(content.length),
    "x-linked-etag": etag,
  };
  if (large) {
    const location = `http://${hub.storageHost}/repos/${place.name}/${
      sha256(content)
    }?X-Signature=abc&name=${place.path}`;
    blobs.set(`/repos/${place.name}/${sha256(content)}`, content);
    return new Response(null, { status: 302, headers: { ...common, location } });
  }
  if (place.kind === "resolve") {
    const path = place.path.split("/").map(encodeURIComponent).join("/");
    const location = `/api/resolve-cache/${place.name}/${commit}/${path}?etag=${encodeURIComponent(etag)}`;
    return new Response(null, { status: 307, headers: { ...common, location } });
  }
  return ranged(request, content, { ...common, etag });
}

const blobs = new Map<string, Uint8Array>();

function answerStorage(_hub: HubServer, request: Request): Response {
  // Storage hosts refuse requests that carry two kinds of permission.
  if (request.headers.has("authorization")) {
    return new Response("<Error><Code>InvalidArgument</Code></Error>", { status: 400 });
  }
  const content = blobs.get(new URL(request.url).pathname);
  if (!content) return new Response("", { status: 404 });
  return ranged(request, content, {
    etag: `"storage-${sha256(content).slice(0, 16)}"`,
    "accept-ranges": "bytes",
  });
}

/** GET and HEAD with one range and If-Range, as RFC 9110 says. */
function ranged(request: Request, content: Uint8Array, headers: Record<string, string>): Response {
  const type = { "content-type": "application/octet-stream" };
  const bodyOf = (bytes: Uint8Array) => request.method === "HEAD" ? null : new Uint8Array(bytes);
  const asked = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get("range") ?? "");
  const condition = request.headers.get("if-range");
  if (!asked || condition !== null && condition !== headers.etag) {
    return new Response(bodyOf(content), {
      headers: { ...headers, ...type, "content-length": String(content.length) },
    });
  }
  const begin = Number(asked[1]),
    end = Math.min(asked[2] ? Number(asked[2]) + 1 : content.length, content.length);
  if (begin >= content.length) {
    return new Response(null, { status: 416, headers: { "content-range": `bytes */${content.length}` } });
  }
  return new Response(bodyOf(content.subarray(begin, end)), {
    status: 206,
    headers: {
      ...headers,
      ...type,
      "content-length": String(end - begin),
      "content-range": `bytes ${begin}-${end - 1}/${content.length}`,
    },
  });
}
