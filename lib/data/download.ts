// Files behind http and https: streamed, bounded, without credentials, and never waited for endlessly.

import { UserError } from "../errors.ts";
import { tooLarge } from "./bytes.ts";

const PATIENCE = 60_000; // ms without a byte after which a server counts as silent

/** Whether a source is a URL and not a path. */
export function isURL(source: string): boolean {
  return /^https?:\/\//i.test(source);
}

/** The kind of file that a server's content type means, as a name's ending; undefined when it says nothing. */
export const CONTENT_TYPES: Record<string, string> = {
  "application/json": ".json",
  "application/jsonl": ".jsonl",
  "application/x-jsonlines": ".jsonl",
  "application/jsonlines": ".jsonl",
  "application/x-ndjson": ".jsonl",
  "text/csv": ".csv",
  "text/tab-separated-values": ".tsv",
  "text/plain": ".txt",
  "text/markdown": ".md",
  "application/vnd.apache.parquet": ".parquet",
  "application/x-parquet": ".parquet",
};

/** Asks a server what a URL holds, for a URL whose name does not say: an ending such as ".csv", or undefined. */
export async function kindOfURL(url: string): Promise<string | undefined> {
  const { response, close } = await request(url);
  close();
  await response.body?.cancel().catch(() => {});
  const type = response.headers.get("content-type")?.split(";")[0].trim().toLowerCase() ?? "";
  return CONTENT_TYPES[type];
}

/** The body of a URL in pieces; redirects are followed, nothing secret is sent. */
export async function* download(url: string, maxBytes: number): AsyncGenerator<Uint8Array> {
  const { response, close, waiting } = await request(url);
  try {
    if (Number(response.headers.get("content-length")) > maxBytes) throw tooLarge(url, maxBytes);
    if (response.body === null) return;
    for await (const piece of response.body) {
      waiting();
      yield piece;
    }
  } catch (error) {
    throw netError(error, url, "broke off");
  } finally {
    close();
  }
}

interface Answer {
  response: Response;
  /** A sign of life: the patience begins anew. */
  waiting(): void;
  close(): void;
}

async function request(url: string): Promise<Answer> {
  const { username, password } = parsed(url);
  if (username || password) {
    throw new UserError("a URL with a name or password in it is not fetched: download the file first.");
  }
  const abort = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const close = () => clearTimeout(timer);
  const waiting = () => {
    close();
    timer = setTimeout(() => abort.abort(new UserError(`${url} fell silent for 60 s: try again.`)), PATIENCE);
  };
  waiting();
  try {
    const response = await fetch(url, { signal: abort.signal, credentials: "omit" });
    if (response.ok) return { response, waiting, close };
    await response.body?.cancel();
    throw new UserError(
      `${url} answers ${response.status} ${response.statusText}`.trimEnd() + ": check the address.",
    );
  } catch (error) {
    close();
    throw netError(error, url, "cannot be reached");
  }
}

function parsed(url: string): URL {
  const value = URL.parse(url);
  if (!value) throw new UserError(`${url} is not a valid URL.`);
  return value;
}

function netError(error: unknown, url: string, what: string): unknown {
  if (error instanceof UserError) return error;
  if (error instanceof Deno.errors.NotCapable) {
    return new UserError(
      `no permission to fetch ${url}: run with --allow-net (or --allow-net=${parsed(url).host}).`,
    );
  }
  if (!(error instanceof Error)) return error;
  const reason = (error.cause instanceof Error ? error.cause : error).message.replaceAll(/\s+/g, " ");
  return new UserError(`${url} ${what}: ${reason.replace(/\.$/, "")}.`);
}
