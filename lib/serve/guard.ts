// Who may ask at all: the Host that a browser was led to, the page that a request comes from, the key, and how much is sent.
import { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";
import { UserError } from "../errors.ts";
import { Refusal } from "./errors.ts";

/** What the guard is told. */
export interface GuardOptions {
  readonly hostname: string;
  readonly apiKey?: string;
  readonly allowedHosts: readonly string[];
  readonly corsOrigins: readonly string[];
  readonly maxBodyBytes: number;
  readonly bodySeconds: number;
}

const loopback = ["localhost", "127.0.0.1", "[::1]"];

/** Refuses to be reachable from elsewhere without a key. */
export function checkExposure(hostname: string, apiKey: string | undefined): void {
  if (apiKey !== undefined && apiKey.length < 8) {
    throw new UserError("apiKey has fewer than 8 characters: choose one that nobody guesses.");
  }
  if (isLoopback(hostname) || apiKey !== undefined) return;
  throw new UserError(
    `serve would be reachable from other machines at ${hostname}: give it an apiKey, or leave hostname at 127.0.0.1.`,
  );
}

const isLoopback = (hostname: string) => loopback.includes(bracketed(hostname));
const bracketed = (hostname: string) =>
  hostname.includes(":") ? `[${hostname.replace(/[[\]]/g, "")}]` : hostname;

/**
 * Refuses other hosts' names (a page elsewhere whose name was led to this machine: DNS rebinding) and other pages' requests.
 * Behind a key on an open address every name is right: such a page does not have the key.
 */
export function checkOrigin(request: Request, options: GuardOptions): void {
  const { hostname, allowedHosts, corsOrigins } = options;
  const host = request.headers.get("host") ?? new URL(request.url).host;
  const name = host.replace(/:\d+$/, "").toLowerCase();
  const known = [...loopback, bracketed(hostname), ...allowedHosts];
  if ((isLoopback(hostname) || allowedHosts.length > 0) && !known.includes(name)) {
    throw new Refusal(403, "This server does not answer under that host name (see allowedHosts).");
  }
  const origin = request.headers.get("origin");
  if (origin === null || corsOrigins.includes(origin)) return;
  if (origin.replace(/^https?:\/\//, "") === host) return;
  throw new Refusal(403, "This server does not answer pages of other origins (see corsOrigins).");
}

/** What a page of an allowed origin needs to read the answer; nothing for others. */
export function corsHeaders(request: Request, { corsOrigins }: GuardOptions): Record<string, string> {
  const origin = request.headers.get("origin");
  if (origin === null || !corsOrigins.includes(origin)) return {};
  return {
    "access-control-allow-origin": origin,
    "access-control-allow-headers": "authorization, content-type",
    "access-control-allow-methods": "GET, POST",
    "vary": "origin",
  };
}

/** Compares digests, so that the time taken says nothing about the key. */
export function checkKey(request: Request, { apiKey }: GuardOptions): void {
  if (apiKey === undefined) return;
  const given = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
  const digest = (text: string) => createHash("sha256").update(text).digest();
  if (timingSafeEqual(digest(given), digest(apiKey))) return;
  throw new Refusal(401, "The API key is missing or wrong.", { code: "invalid_api_key" });
}

/** The body as text, within the limits of size and time; a server that stops breaks off what is still being sent. */
export async function readBody(
  request: Request,
  { maxBodyBytes, bodySeconds }: GuardOptions,
  stopping: () => boolean,
): Promise<string> {
  const type = request.headers.get("content-type") ?? "";
  // A page elsewhere can send text or forms without asking first; JSON it cannot.
  if (!/^application\/json\b/i.test(type)) {
    throw new Refusal(415, "The content-type must be application/json.");
  }
  const tooLarge = () => new Refusal(413, `The body is larger than ${maxBodyBytes} bytes.`);
  if (Number(request.headers.get("content-length") ?? 0) > maxBodyBytes) throw tooLarge();
  const tooLate = () => new Refusal(408, `The body did not come within ${bodySeconds} s.`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = request.body?.getReader();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    reader?.cancel().catch(() => {});
  }, 1000 * bodySeconds);
  try {
    while (reader) {
      const { value, done } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > maxBodyBytes) throw tooLarge();
      chunks.push(value);
    }
    if (late) throw tooLate();
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch (error) {
    if (error instanceof Refusal) throw error;
    if (stopping()) throw new Refusal(503, "The server is about to stop.", { retryAfter: 10 });
    throw late ? tooLate() : new Refusal(400, "The body broke off, or is no UTF-8.");
  } finally {
    clearTimeout(timer);
    await reader?.cancel().catch(() => {});
  }
}
