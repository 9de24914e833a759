// What Xet's storage makes of shards and xorbs: which files they hold, and their bytes, read back by @huggingface/hub's own
// reader (__internal_XetBlob).
import { __internal_XetBlob as XetBlob } from "@huggingface/hub";

/** A file of a shard: runs of chunks, each in a xorb. */
export interface ShardFile {
  /** Xet's own hash of it. */
  hash: string;
  sha256: string;
  terms: { xorb: string; bytes: number; begin: number; end: number }[];
}

const HEADER = 48, HASH = 32, ENTRY = 48;
const VERIFIED = 0x80000000, HAS_SHA256 = 0x40000000;

/** Hashes are written as four little-endian numbers. */
function hashAt(view: DataView, at: number): string {
  return [0, 8, 16, 24].map((i) => view.getBigUint64(at + i, true).toString(16).padStart(16, "0")).join("");
}

/** The files that a shard describes (shard format of the Xet protocol: file info section). */
export function readShard(shard: Uint8Array): ShardFile[] {
  const view = new DataView(shard.buffer, shard.byteOffset, shard.byteLength), files: ShardFile[] = [];
  let at = HEADER;
  while (view.getBigUint64(at) !== 0xffffffffffffffffn) {
    const hash = hashAt(view, at), flags = view.getUint32(at + HASH, true);
    const count = view.getUint32(at + HASH + 4, true);
    at += ENTRY;
    const terms = Array.from({ length: count }, (_, i) => {
      const [bytes, begin, end] = [4, 8, 12].map((field) =>
        view.getUint32(at + i * ENTRY + HASH + field, true)
      );
      return { xorb: hashAt(view, at + i * ENTRY), bytes, begin, end };
    });
    at += count * ENTRY * ((flags & VERIFIED) !== 0 ? 2 : 1);
    if ((flags & HAS_SHA256) === 0) throw new Error("a file of a repository needs its SHA-256");
    files.push({ hash, sha256: hashAt(view, at), terms });
    at += ENTRY;
  }
  return files;
}

/** Where each chunk of a xorb begins, and its end. */
function chunkOffsets(xorb: Uint8Array): number[] {
  const offsets = [0];
  for (let at = 0; at < xorb.length; offsets.push(at)) {
    at += 8 + (xorb[at + 1] | xorb[at + 2] << 8 | xorb[at + 3] << 16);
  }
  return offsets;
}

/** A file's bytes, decoded by the reference reader, run by run. */
export async function xetContent(file: ShardFile, xorbs: Map<string, Uint8Array>): Promise<Uint8Array> {
  const runs = [];
  for (const term of file.terms) runs.push(await termContent(term, xorbs.get(term.xorb)!));
  return new Uint8Array(await new Blob(runs).arrayBuffer());
}

function termContent(term: ShardFile["terms"][number], xorb: Uint8Array): Promise<ArrayBuffer> {
  const offsets = chunkOffsets(xorb), chunks = { start: term.begin, end: term.end };
  const bytes = { start: offsets[term.begin], end: offsets[term.end] - 1 };
  const info = {
    offset_into_first_range: 0,
    terms: [{ hash: term.xorb, unpacked_length: term.bytes, range: chunks }],
    xorbs: { [term.xorb]: [{ url: "http://xorbs/it", ranges: [{ chunks, bytes }] }] },
  };
  const range = `bytes ${bytes.start}-${bytes.end}/${xorb.length}`;
  const answer = (input: RequestInfo | URL) => {
    if (String(input).includes("/reconstructions/")) return Promise.resolve(Response.json(info));
    const part = xorb.slice(bytes.start, bytes.end + 1);
    return Promise.resolve(new Response(part, { status: 206, headers: { "content-range": range } }));
  };
  const readToken = { accessToken: "x", casUrl: "http://xorbs", exp: Date.now() / 1000 + 3600 };
  const size = term.bytes, hash = term.xorb, refreshUrl = "http://xorbs/token";
  return new XetBlob({ hash, size, fetch: answer, refreshUrl, readToken, parallelDownloads: false })
    .arrayBuffer();
}
