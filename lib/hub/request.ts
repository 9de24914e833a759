// One request to the Hub: redirects followed by hand, as the token must stay with the Hub; silence and refusals told apart from
// faults that pass.
import { UserError } from "../errors.ts";
import type { HubSettings } from "./settings.ts";

/** A fault that may pass: worth another try. */
export class TryAgain extends Error {
  /** Milliseconds that the server asked to wait. */
  wait?: number;
  /** A fault that may pass, in words for the user. */
  constructor(message: string, wait?: number) {
    super(message);
    this.wait = wait;
  }
}

/** An answer whose body is still to be read. */
export interface Answer {
  response: Response;
  /** Where it came from, behind all redirects. */
  url: string;
  /** The body's pieces; throws {@linkcode TryAgain} when it falls silent or breaks. */
  body(): AsyncGenerator<Uint8Array>;
  /** Gives the connection up. */
  cancel(): void;
}

const REDIRECTS = [301, 302, 303, 307, 308];
const MOST_REDIRECTS = 10;

/**
 * GETs an address. The token goes only to the endpoint's own origin (scheme, host, port), whatever redirects say.
 *
 * @throws TryAgain for a broken or silent connection; UserError without permission or for a redirect that must not be followed
 */
export async function request(
  settings: HubSettings,
  address: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const controller = new AbortController();
  const watch = watchdog(settings, controller);
  try {
    let url = new URL(address);
    for (let hop = 0; hop <= MOST_REDIRECTS; hop++) {
      const response = await fetchOnce(settings, url, headers, controller.signal);
      watch.touch();
      if (!REDIRECTS.includes(response.status)) {
        return {
          response,
          url: url.href,
          body: () => readBody(response, watch),
          cancel: () => (watch.stop(), controller.abort()),
        };
      }
      await response.body?.cancel();
      url = redirectTarget(url, response.headers.get("location"));
    }
    throw new UserError(`${new URL(address).host} sends in circles: more than ${MOST_REDIRECTS} redirects.`);
  } catch (error) {
    watch.stop();
    throw error instanceof UserError ? error : passing(error, controller.signal);
  }
}

async function fetchOnce(
  { endpoint, token }: HubSettings,
  url: URL,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Response> {
  const trusted = url.origin === new URL(endpoint).origin;
  const authorization = trusted && token ? { authorization: `Bearer ${token}` } : undefined;
  try {
    return await fetch(url, {
      redirect: "manual",
      signal,
      headers: { "user-agent": "fintune", "accept-encoding": "identity", ...headers, ...authorization },
    });
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) {
      throw new UserError(
        `no permission to reach ${url.host}: run with --allow-net=${url.host} (large files come from other hosts too; -P=hub allows all).`,
      );
    }
    throw error;
  }
}

function redirectTarget(from: URL, location: string | null): URL {
  const to = location === null ? null : URL.parse(location, from);
  if (!to) throw new UserError(`${from.host} redirects to no address.`);
  const isPlain = to.protocol === "http:" && from.protocol === "http:";
  if (to.protocol !== "https:" && !isPlain || to.username || to.password) {
    throw new UserError(`${from.host} redirects to ${to.protocol}//${to.host}, which is not followed.`);
  }
  return to;
}

interface Watchdog {
  touch(): void;
  stop(): void;
}

/** Aborts when nothing touches it for the settings' timeout. */
function watchdog({ timeout }: HubSettings, controller: AbortController): Watchdog {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => clearTimeout(timer);
  const touch = () => {
    stop();
    timer = setTimeout(() => controller.abort(new TryAgain(`no byte came for ${timeout / 1000} s`)), timeout);
  };
  touch();
  return { touch, stop };
}

async function* readBody(response: Response, watch: Watchdog): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of response.body ?? []) {
      watch.touch();
      yield piece;
      watch.touch(); // writing it to disk may have taken its time
    }
  } catch (error) {
    throw passing(error);
  } finally {
    watch.stop();
  }
}

/** What fetch throws names addresses with signatures in them: only what went wrong is kept. */
export function passing(error: unknown, signal?: AbortSignal): unknown {
  if (signal?.reason instanceof TryAgain) return signal.reason;
  if (error instanceof TryAgain || error instanceof UserError) return error;
  const text = String((error as Error)?.message ?? error).replace(/url \(.*?\)/g, "");
  const kind = /dns|lookup/i.test(text)
    ? "its address is not found"
    : /refused/i.test(text)
    ? "the connection is refused"
    : /certificate|tls/i.test(text)
    ? "its certificate is not accepted"
    : "the connection broke";
  return new TryAgain(kind);
}

/** The longest wait that a server may ask for: the Hub counts requests in windows of five minutes. */
const LONGEST_WAIT = 300_000;
/** Tries in all before a fault is taken for lasting. */
export const TRIES = 5;

/**
 * Runs an action until it succeeds, with growing pauses after faults that may pass.
 *
 * @param where host or file, for the message
 * @throws UserError when the tries are used up or the server asks for more patience than five minutes
 */
export async function retrying<T>(
  settings: HubSettings,
  where: string,
  action: () => Promise<T>,
  tries: number = TRIES,
): Promise<T> {
  for (let done = 1;; done++) {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof TryAgain)) throw error;
      if (done >= tries) throw givenUp(where, error, done);
      await pause(settings, where, error, done);
    }
  }
}

/** The error after the last try. */
export function givenUp(where: string, error: TryAgain, tries: number): UserError {
  const times = tries === 1 ? "" : ` (${tries} tries)`;
  return new UserError(`${where}: ${error.message}${times}. Check the connection and try again later.`, {
    cause: error,
  });
}

/** Waits as long as the server asks, else 1, 2, 4, 8 s with some chance, so that many clients do not come back at once. */
export async function pause(
  settings: HubSettings,
  where: string,
  error: TryAgain,
  tries: number,
): Promise<void> {
  if (error.wait !== undefined && error.wait > LONGEST_WAIT) {
    throw new UserError(
      `${where}: ${error.message}, and asks to wait ${
        Math.ceil(error.wait / 60_000)
      } minutes: try again then.`,
      { cause: error },
    );
  }
  const backOff = Math.min(1000 * 2 ** (tries - 1), 8000) * (0.75 + Math.random() / 2);
  await settings.sleep(error.wait ?? backOff);
}
