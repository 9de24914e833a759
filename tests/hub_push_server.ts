// The writing half of the loopback Hub: making repositories, preupload, LFS's batch and storage (basic, multipart), Xet's
// xorbs and shards, commits, as huggingface_hub and @huggingface/hub expect them of the real one.
import {
  bytesOf,
  type HubRepo,
  type HubServer,
  isLarge,
  json,
  refuse,
  sha256,
  startHub,
  TOKEN,
} from "./hub_server.ts";
import { readShard, xetContent } from "./xet_store.ts";

export interface PushHub extends HubServer {
  /** How large files are taken. */
  transfer: "basic" | "xet";
  /** Files of more bytes than that come in parts of so many (only for "basic"). */
  partBytes: number;
  /** Large files that storage holds, by their SHA-256; repositories refer to them. */
  objects: Map<string, Uint8Array>;
  /** Parts and xorbs that came and belong to no file yet. */
  pieces: Map<string, Uint8Array>;
  /** Repositories that are made are refused: the token may not, or the account has to pay. */
  refuseNew?: number;
  /** Titles of the commits. */
  commits: string[];
}

/** What storage hosts hand out in place of the Hub's token. */
const XET_TOKEN = "xet-token-of-the-loopback-hub";

export function startPushHub(repos: Record<string, HubRepo> = {}): PushHub {
  const hub: PushHub = Object.assign(startHub(repos), {
    transfer: "basic" as const,
    partBytes: Infinity,
    objects: new Map(),
    pieces: new Map(),
    commits: [],
  });
  hub.more = (request, server) => server === "hub" ? answerWrites(hub, request) : answerUploads(hub, request);
  return hub;
}

async function answerWrites(hub: PushHub, request: Request): Promise<Response | undefined> {
  const { pathname } = new URL(request.url);
  const api = /^\/api\/(models|datasets|spaces)\/([^/]+\/[^/]+)\/(preupload|commit|xet-write-token)\/main$/
    .exec(pathname);
  const lfs = /^\/(?:(datasets|spaces)\/)?([^/]+\/[^/]+)\.git\/info\/lfs\/(objects\/batch|complete)$/
    .exec(pathname);
  const isNew = pathname === "/api/repos/create";
  if (!isNew && !api && !lfs) return undefined;
  if (lfs?.[3] === "complete") return await complete(hub, request); // a signed address
  const authorization = request.headers.get("authorization");
  if (authorization !== `Bearer ${TOKEN}`) return refuse(401, "", "Invalid username or password.");
  if (isNew) return await create(hub, request);
  const name = api ? `${api[1]}/${api[2]}` : `${lfs![1] ?? "models"}/${lfs![2]}`;
  if (!hub.repos[name]) return refuse(404, "RepoNotFound", "Repository not found");
  if (lfs) return await batch(hub, name, request);
  if (api![3] === "preupload") return await preupload(request);
  return api![3] === "commit" ? await commit(hub, name, request) : json(xetAccess(hub));
}

async function create(hub: PushHub, request: Request): Promise<Response> {
  const { name, organization, type = "model", visibility, sdk } = await request.json();
  const id = `${organization}/${name}`, key = `${type}s/${id}`;
  const url = `${hub.url}/${type === "model" ? "" : `${type}s/`}${id}`;
  if (hub.repos[key]) return json({ error: `You already created this ${type} repo`, url }, {}, 409);
  if (hub.refuseNew) return json({ error: "not for this account" }, {}, hub.refuseNew);
  if (type === "space" && sdk !== "docker") return json({ error: "sdk is missing" }, {}, 400);
  hub.repos[key] = {
    private: visibility === "private",
    files: { ".gitattributes": "*.safetensors filter=lfs diff=lfs merge=lfs -text\n" },
  };
  return json({ url, name: id, id: sha256(id).slice(0, 24) });
}

async function preupload(request: Request): Promise<Response> {
  const { files } = await request.json();
  return json({
    files: files.map(({ path, size }: { path: string; size: number }) => ({
      path,
      uploadMode: isLarge(path) || size > 10e6 ? "lfs" : "regular",
      shouldIgnore: false,
      oid: null,
    })),
    commitOid: null,
  });
}

interface LfsObject {
  oid: string;
  size: number;
}

async function batch(hub: PushHub, name: string, request: Request): Promise<Response> {
  const { operation, transfers, objects } = await request.json();
  const transfer = hub.transfer === "xet" && transfers.includes("xet") ? "xet" : "basic";
  const answer = ({ oid, size }: LfsObject) => {
    if (operation !== "upload" || hub.objects.has(oid)) return { oid, size, authenticated: true };
    const upload = transfer === "xet" ? xetUpload(hub, name) : lfsUpload(hub, name, oid, size);
    return { oid, size, authenticated: true, actions: { upload } };
  };
  return json({ transfer, objects: objects.map(answer) }, {
    "content-type": "application/vnd.git-lfs+json",
    "x-request-id": "loopback",
  });
}

function lfsUpload(hub: PushHub, name: string, oid: string, size: number) {
  const storage = `http://${hub.storageHost}/lfs/${oid}`;
  if (size <= hub.partBytes) return { href: `${storage}?X-Amz-Signature=abc` };
  const parts = Array.from(
    { length: Math.ceil(size / hub.partBytes) },
    (_, i) => [String(i + 1).padStart(5, "0"), `${storage}/part/${i + 1}?X-Amz-Signature=abc`],
  );
  return {
    href: `${hub.url}/${name.replace(/^models\//, "")}.git/info/lfs/complete?uploadId=1`,
    header: { chunk_size: String(hub.partBytes), ...Object.fromEntries(parts) },
  };
}

async function complete(hub: PushHub, request: Request): Promise<Response> {
  const { oid, parts } = await request.json();
  const pieces = parts.map(({ partNumber, etag }: { partNumber: number; etag: string }) => {
    const piece = hub.pieces.get(`${oid}/${partNumber}`);
    return piece && etag === `"${sha256(piece)}"` ? piece : undefined;
  });
  if (pieces.includes(undefined)) return json({ error: "a part is missing" }, {}, 400);
  const whole = new Uint8Array(await new Blob(pieces).arrayBuffer());
  if (sha256(whole) !== oid) return json({ error: "the parts are another file" }, {}, 400);
  hub.objects.set(oid, whole);
  return json({});
}

function xetAccess(hub: PushHub) {
  return {
    accessToken: XET_TOKEN,
    casUrl: `http://${hub.storageHost}`,
    exp: Math.floor(Date.now() / 1000) + 3600,
  };
}

function xetUpload(hub: PushHub, name: string) {
  const { accessToken, casUrl, exp } = xetAccess(hub);
  return {
    href: `${hub.url}/api/${name}/xet-write-token/main`,
    header: {
      "X-Xet-Cas-Url": casUrl,
      "X-Xet-Access-Token": accessToken,
      "X-Xet-Token-Expiration": String(exp),
      "X-Xet-Session-Id": "session",
    },
  };
}

async function commit(hub: PushHub, name: string, request: Request): Promise<Response> {
  const repo = hub.repos[name], files = { ...repo.files };
  const lines = (await request.text()).trim().split("\n").map((line) => JSON.parse(line));
  const { summary, parentCommit } = lines[0].value;
  if (parentCommit && parentCommit !== hub.commit(name)) {
    return json({ error: "A commit has happened since. Please refresh and try again." }, {}, 412);
  }
  for (const { key, value } of lines.slice(1)) {
    if (key === "file") {
      if (isLarge(value.path)) return json({ error: `${value.path} is binary: use LFS` }, {}, 400);
      files[value.path] = new TextDecoder().decode(Uint8Array.fromBase64(value.content));
    } else if (key === "lfsFile") {
      const content = hub.objects.get(value.oid);
      if (content?.length !== value.size) {
        return json({ error: `LFS pointer ${value.path} points to no file` }, {}, 422);
      }
      files[value.path] = content!;
    } else delete files[value.path];
  }
  repo.files = files;
  hub.commits.push(summary);
  const oid = hub.commit(name);
  return json({
    success: true,
    commitOid: oid,
    commitUrl: `${hub.url}/${name}/commit/${oid}`,
    hookOutput: "",
  });
}

/** Storage: signed addresses without a token, or Xet's own token. */
async function answerUploads(hub: PushHub, request: Request): Promise<Response | undefined> {
  const { pathname, searchParams } = new URL(request.url), { method, headers } = request;
  const bytes = new Uint8Array(await request.arrayBuffer());
  const [, oid, part] = /^\/lfs\/([0-9a-f]{64})(?:\/part\/(\d+))?$/.exec(pathname) ?? [];
  if (oid) {
    // As S3 does: one permission alone, and the length said beforehand.
    const refused = method !== "PUT" || !searchParams.has("X-Amz-Signature") || headers.has("authorization");
    if (refused) return new Response("<Error/>", { status: 403 });
    if (!headers.has("content-length")) return new Response("<Error/>", { status: 411 });
    if (part) hub.pieces.set(`${oid}/${part}`, bytes);
    else if (sha256(bytes) !== oid) return new Response("<Error/>", { status: 400 });
    else hub.objects.set(oid, bytes);
    return new Response(null, { headers: { etag: `"${sha256(bytes)}"` } });
  }
  if (!pathname.startsWith("/v1/")) return undefined;
  if (headers.get("authorization") !== `Bearer ${XET_TOKEN}`) return json({ error: "no token" }, {}, 401);
  const [, xorb] = /^\/v1\/xorbs\/default\/([0-9a-f]{64})$/.exec(pathname) ?? [];
  if (method === "POST" && xorb) {
    const isNew = !hub.pieces.has(xorb);
    hub.pieces.set(xorb, bytes);
    return json({ was_inserted: isNew });
  }
  if (method !== "POST" || pathname !== "/v1/shards") return json({ error: "not found" }, {}, 404);
  for (const file of readShard(bytes)) {
    if (file.terms.some(({ xorb }) => !hub.pieces.has(xorb))) return json({ error: "missing xorb" }, {}, 400);
    const content = await xetContent(file, hub.pieces);
    if (sha256(content) !== file.sha256) return json({ error: "another hash" }, {}, 400);
    hub.objects.set(file.sha256, content);
  }
  return json({ result: 1 });
}

/** A repository's file as it is on the Hub. */
export const published = (hub: PushHub, name: string, path: string): string =>
  new TextDecoder().decode(bytesOf(hub.repos[name].files[path]));
