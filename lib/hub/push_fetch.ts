// The fetch that @huggingface/hub's uploads are given: tried again after faults that pass, watched for silence, counted, and
// the token kept from every host but the Hub's own.
import { UserError } from "../errors.ts";
import type { Repo } from "./names.ts";
import { askedWait, PASSING, passingText } from "./refusals.ts";
import { passing, retrying, TryAgain } from "./request.ts";
import type { SentXorbs } from "./push_sent.ts";
import type { HubSettings } from "./settings.ts";

/** What an upload is given besides. */
export interface Upload {
  /** Ends it. */
  signal?: AbortSignal;
  /** Told of bytes of large files as they leave (negative when they have to be sent again), and of those that need not. */
  onBytes?(bytes: number, isSent: boolean): void;
  /** Xet's blocks that an earlier push has sent. */
  sent?: SentXorbs;
}

/** A signed address that has run out, or that storage forgot: asking the Hub anew gives another. */
export class AddressRanOut extends Error {}

/** Making a commit of many files takes the Hub its time. */
const LONGEST_SILENCE = 120_000;

/** A fetch for pushing to a repository. Refusals come back as answers, for @huggingface/hub to throw. */
export function pushFetch(settings: HubSettings, repo: Repo, upload: Upload = {}): typeof fetch {
  const patient = { ...settings, sleep: (ms: number) => settings.sleep(ms, upload.signal) };
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : String(input));
    const xorb = /\/v1\/xorbs\/[^/]+\/([0-9a-f]{64})$/.exec(url.pathname)?.[1];
    if (xorb && upload.sent?.has(xorb)) {
      upload.onBytes?.(sizeOf(init.body), false);
      return Response.json({ was_inserted: false });
    }
    const isPiece = init.method === "PUT" || xorb !== undefined;
    const counted = isPiece ? upload : { signal: upload.signal };
    const response = await retrying(patient, repo.id, () => sendOnce(settings, url, init, counted));
    if (xorb && response.ok) await upload.sent?.add(xorb);
    return response;
  };
}

const sizeOf = (body: BodyInit | null | undefined): number =>
  body instanceof Blob ? body.size : body instanceof Uint8Array ? body.byteLength : 0;

async function sendOnce(
  settings: HubSettings,
  url: URL,
  init: RequestInit,
  { signal, onBytes }: Upload,
): Promise<Response> {
  signal?.throwIfAborted();
  const own = url.origin === new URL(settings.endpoint).origin;
  checkToken(settings, url, init, own);
  const controller = new AbortController(), silence = Math.max(settings.timeout, LONGEST_SILENCE);
  const stop = () => controller.abort(signal?.reason);
  signal?.addEventListener("abort", stop);
  let timer: ReturnType<typeof setTimeout> | undefined, sent = 0;
  const touch = () => {
    clearTimeout(timer);
    timer = setTimeout(
      () => controller.abort(new TryAgain(`nothing moved for ${silence / 1000} s`)),
      silence,
    );
  };
  const count = (bytes: number) => {
    touch();
    sent += bytes;
    onBytes?.(bytes, true);
  };
  touch();
  try {
    const body = sizeOf(init.body) > 0 ? new CountedBlob(init.body as Blob | Uint8Array, count) : init.body;
    const response = await fetch(url, { ...init, body, redirect: "manual", signal: controller.signal });
    return await judged(settings, url, response, own);
  } catch (error) {
    onBytes?.(-sent, true);
    signal?.throwIfAborted();
    throw told(error, url, controller.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

/** The whole answer, or what becomes of one that is none. */
async function judged(settings: HubSettings, url: URL, response: Response, own: boolean): Promise<Response> {
  const { status, headers } = response;
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (PASSING.includes(status)) throw new TryAgain(passingText(status, url.host), askedWait(headers));
  if (!own && [400, 401, 403, 404].includes(status) && !url.pathname.includes("/v1/chunks/")) {
    throw new AddressRanOut(`${url.host} answered ${status}`);
  }
  if (status >= 300 && status < 400) {
    throw new UserError(
      `${settings.endpoint} sends ${url.pathname} on to another address: if the repository was renamed, give its new name.`,
    );
  }
  const hasNoBody = status === 204 || status === 205;
  return new Response(hasNoBody ? null : bytes, { status, headers });
}

/** Storage hosts have permissions of their own; whoever asks for the Hub's token there should not get it. */
function checkToken({ token }: HubSettings, url: URL, { headers }: RequestInit, own: boolean): void {
  if (own || !token || !new Headers(headers).get("authorization")?.includes(token)) return;
  throw new UserError(`${url.host} is not the Hub, and the token is not sent to it: check HF_ENDPOINT.`);
}

function told(error: unknown, url: URL, signal: AbortSignal): unknown {
  if (error instanceof AddressRanOut || error instanceof UserError) return error;
  if (error instanceof Deno.errors.NotCapable) {
    return new UserError(
      `no permission to reach ${url.host}: run with --allow-net=${url.host} (large files go to other hosts too; -P=hub allows all).`,
    );
  }
  return passing(error, signal);
}

const PIECE = 1 << 18;

/** A body that is read piece by piece, and says so. Unlike a stream's its size is known, which storage hosts insist on. */
class CountedBlob extends Blob {
  readonly #content: Blob | Uint8Array;
  readonly #count: (bytes: number) => void;

  constructor(content: Blob | Uint8Array, count: (bytes: number) => void) {
    super();
    this.#content = content;
    this.#count = count;
  }

  override get size(): number {
    return sizeOf(this.#content as BodyInit);
  }

  override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const pieces = this.#content instanceof Blob
      ? this.#content.stream()[Symbol.asyncIterator]()
      : slices(this.#content);
    return new ReadableStream({
      pull: async (controller) => {
        const { done, value } = await pieces.next();
        if (done) return controller.close();
        this.#count(value.length);
        controller.enqueue(value as Uint8Array<ArrayBuffer>);
      },
    }, { highWaterMark: 0 });
  }
}

function* slices(bytes: Uint8Array): Generator<Uint8Array> {
  // Copies: fetch may take over what it is given, and a second try sends it again.
  for (let at = 0; at < bytes.length; at += PIECE) yield bytes.slice(at, at + PIECE);
}
