// The bytes of one address in order, fetched as several ranges at once, each going on from its exact byte after a fault.
import { UserError } from "../errors.ts";
import type { RepoFile } from "./cache.ts";
import type { Repo } from "./names.ts";
import { refusal } from "./refusals.ts";
import { type Answer, givenUp, pause, request, TRIES, TryAgain } from "./request.ts";
import type { HubSettings } from "./settings.ts";

/** Where the bytes come from. */
export interface Source {
  settings: HubSettings;
  repo: Repo;
  file: RepoFile;
  /** The Hub's address of the file. */
  address: string;
  /** Bytes of one range. Default: 8 MiB. */
  partBytes?: number;
  onBytes(bytes: number): void;
}

/** Where they go, in order. */
export interface Sink {
  write(bytes: Uint8Array): Promise<void>;
  /** The server begins anew: forget everything. */
  restart(): Promise<void>;
}

interface Part {
  /** The next byte that is missing. */
  at: number;
  end: number;
  /** Bytes that came but whose turn it is not. */
  pieces: Uint8Array[];
}

interface Fetching extends Source {
  parts: Part[];
  sink: Sink;
  /** Index of the part whose turn it is to be written. */
  head: number;
  /** Writes wait for one another. */
  writing: Promise<void>;
  /** Resolved, and made anew, whenever the head moves on or something failed. */
  moved: PromiseWithResolvers<void>;
  /** Connections in use. */
  answers: Set<Answer>;
  /** Address behind the redirects, for the next ranges; storage hosts sign it for a while. */
  direct?: string;
  /** The ETag there, so that ranges of two contents are not mixed. */
  etag?: string;
  failed?: unknown;
}

/** The server sends the whole where a range was asked for. */
class NoRanges extends Error {}

const PART_BYTES = 8 << 20;
/** Ranges at once; as many parts may wait in memory. */
const AT_ONCE = 4;
/** So many bytes between two faults show that the connection works: the tries are counted anew. */
const PROGRESS = 1 << 20;
const MOST_RESTARTS = 3;

/**
 * Fetches the bytes from `begin` to `end` and hands them to the sink in order. On failure everything that came without a hole
 * has been handed over.
 */
export async function fetchInOrder(source: Source, begin: number, end: number, sink: Sink): Promise<void> {
  let done = begin, partBytes = source.partBytes ?? PART_BYTES;
  const counting = {
    ...sink,
    write: async (bytes: Uint8Array) => {
      await sink.write(bytes);
      done += bytes.length;
    },
  };
  for (let restarts = 0;; restarts++) {
    try {
      return await fetchParts(source, partsOf(done, end, partBytes), counting);
    } catch (error) {
      if (!(error instanceof NoRanges)) throw error;
      if (restarts === MOST_RESTARTS) {
        throw givenUp(nameOf(source), new TryAgain("the server cannot go on where it broke off"), restarts);
      }
      await sink.restart();
      source.onBytes(-done);
      done = 0;
      partBytes = Infinity;
    }
  }
}

function partsOf(begin: number, end: number, partBytes: number): Part[] {
  const parts: Part[] = [];
  for (let at = begin; at < end; at += partBytes) {
    parts.push({ at, end: Math.min(at + partBytes, end), pieces: [] });
  }
  return parts;
}

const nameOf = ({ repo, file }: Source) => `${repo.id}: ${file.path}`;

async function fetchParts(source: Source, parts: Part[], sink: Sink): Promise<void> {
  const moved = Promise.withResolvers<void>();
  const fetching: Fetching = {
    ...source,
    parts,
    sink,
    moved,
    head: 0,
    writing: Promise.resolve(),
    answers: new Set(),
  };
  let next = 0;
  const work = async () => {
    try {
      while (next < parts.length && fetching.failed === undefined) await fetchPart(fetching, next++);
    } catch (error) {
      fetching.failed ??= error;
      for (const answer of fetching.answers) answer.cancel();
      move(fetching);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, parts.length) }, work));
  await fetching.writing.catch((error) => fetching.failed ??= error);
  if (fetching.failed === undefined) return;
  // Bytes that came and were not written (beyond a hole) are fetched again by whoever goes on.
  source.onBytes(-parts.flatMap(({ pieces }) => pieces).reduce((sum, piece) => sum + piece.length, 0));
  throw fetching.failed;
}

function move(fetching: Fetching): void {
  fetching.moved.resolve();
  fetching.moved = Promise.withResolvers<void>();
}

/** One part, with as many tries as it takes while some come through. */
async function fetchPart(fetching: Fetching, index: number): Promise<void> {
  const part = fetching.parts[index];
  // The first answer shows whether there are ranges and where redirects lead; and memory holds only so many parts.
  const mustWait = () =>
    index > 0 && fetching.direct === undefined && fetching.head === 0 || index >= fetching.head + AT_ONCE;
  while (mustWait() && fetching.failed === undefined) await fetching.moved.promise;
  let tries = 0, before = part.at;
  while (part.at < part.end && fetching.failed === undefined) {
    try {
      await streamPart(fetching, part);
    } catch (error) {
      if (!(error instanceof TryAgain) || fetching.failed !== undefined) throw error;
      fetching.direct = undefined;
      tries = part.at - before >= PROGRESS ? 1 : tries + 1;
      before = part.at;
      if (tries >= TRIES) throw givenUp(nameOf(fetching), error, tries);
      await pause(fetching.settings, nameOf(fetching), error, tries);
    }
  }
}

async function streamPart(fetching: Fetching, part: Part): Promise<void> {
  const { settings, file, direct, address, etag } = fetching;
  const isWhole = part.at === 0 && part.end === file.size;
  const range = { range: `bytes=${part.at}-${part.end - 1}`, ...(etag && { "if-range": etag }) };
  const answer = await request(settings, direct ?? address, isWhole ? {} : range);
  fetching.answers.add(answer);
  try {
    checkAnswer(fetching, part, answer, isWhole);
    noteAddress(fetching, answer);
    for await (const piece of answer.body()) {
      if (piece.length > part.end - part.at) throw tooMuch(fetching);
      part.pieces.push(piece);
      part.at += piece.length;
      fetching.onBytes(piece.length);
      await drain(fetching);
    }
    if (part.at < part.end) throw new TryAgain(`the connection ended at byte ${part.at} of ${file.size}`);
  } finally {
    answer.cancel();
    fetching.answers.delete(answer);
  }
}

function noteAddress(fetching: Fetching, { url, response }: Answer): void {
  const etag = response.headers.get("etag");
  fetching.etag = etag && !etag.startsWith("W/") ? etag : undefined;
  fetching.direct = url;
  move(fetching);
}

/** What was declared must be what the listing says. */
function checkAnswer(fetching: Fetching, part: Part, { response, url }: Answer, isWhole: boolean): void {
  const { settings, repo, file } = fetching, { status, headers } = response;
  if (status === 200 && !isWhole || status === 416) throw new NoRanges();
  if (status !== 200 && status !== 206) throw refusal(settings, repo, response, url, file.path);
  if (headers.has("content-encoding") && headers.get("content-encoding") !== "identity") return;
  const declared = status === 200
    ? [0, headers.get("content-length") ?? file.size]
    : /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get("content-range") ?? "")?.slice(1);
  if (!declared || Number(declared[0]) !== part.at) {
    throw new TryAgain("another range came than was asked for");
  }
  if (Number(declared[1]) !== file.size) {
    throw new UserError(
      `${nameOf(fetching)} has ${file.size} bytes by the Hub's listing, but the server sends ${
        declared[1]
      }: nothing is fetched.`,
    );
  }
}

function tooMuch(fetching: Fetching): UserError {
  return new UserError(
    `${nameOf(fetching)}: the server sends more than the ${fetching.file.size} bytes that the Hub lists.`,
  );
}

/** Writes what came and whose turn it is. */
function drain(fetching: Fetching): Promise<void> {
  return fetching.writing = fetching.writing.then(async () => {
    for (; fetching.head < fetching.parts.length; fetching.head++, move(fetching)) {
      const { pieces } = fetching.parts[fetching.head];
      while (pieces.length > 0) await fetching.sink.write(pieces.shift()!);
      const { at, end } = fetching.parts[fetching.head];
      if (at < end) return;
    }
  });
}
