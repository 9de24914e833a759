// What the Hub's refusals mean, in one sentence that says what to do. Codes and headers as huggingface_hub's
// hf_raise_for_status knows them.
import { UserError } from "../errors.ts";
import type { Repo } from "./names.ts";
import { TryAgain } from "./request.ts";
import type { HubSettings } from "./settings.ts";

/** Statuses of faults that may pass. */
export const PASSING: readonly number[] = [408, 425, 429, 500, 502, 503, 504];

/**
 * The error for an answer that is no success.
 *
 * @param what the file, or undefined for the repository itself
 */
export function refusal(
  settings: HubSettings,
  repo: Repo,
  response: Response,
  url: string,
  what?: string,
): UserError | TryAgain {
  const { status, headers } = response;
  const host = new URL(url).host;
  if (PASSING.includes(status)) return new TryAgain(passingText(status, host), askedWait(headers));
  const own = new URL(url).origin === new URL(settings.endpoint).origin;
  // A signed address of a storage host that has run out; the next try asks the Hub for a new one.
  if (!own && [400, 401, 403].includes(status)) return new TryAgain(`${host} answered ${status}`);
  return new UserError(sentence(settings, repo, status, headers, what));
}

/** The repository's page for people. */
export const pageOf = ({ endpoint }: HubSettings, { type, id }: Repo): string =>
  `${endpoint}/${type === "model" ? "" : `${type}s/`}${id}`;

function sentence(
  settings: HubSettings,
  repo: Repo,
  status: number,
  headers: Headers,
  what?: string,
): string {
  const { id, type, revision } = repo;
  const page = pageOf(settings, repo);
  const kind = type === "dataset" ? "data set" : type;
  const code = headers.get("x-error-code"),
    message = serverText(headers.get("x-error-message"), settings.token);
  if (code === "GatedRepo") {
    return settings.token
      ? `${id} is gated, and the token's account has no access to it: ask for access on ${page}, and use a token that may read gated repositories.`
      : `${id} is gated: accept its terms on ${page}, then set HF_TOKEN to a token of that account (or run "hf auth login").`;
  }
  if (code === "RevisionNotFound") {
    return `${id} has no revision "${revision}" on the Hub: see the branches and tags on ${page}.`;
  }
  if (code === "EntryNotFound") {
    return `${id} has no file ${what ?? "of that name"} at revision "${revision}".`;
  }
  if (/invalid (credentials|username or password|user token)/i.test(message)) {
    return `The Hub does not know the token (HF_TOKEN or the token file): it is mistyped or expired, make a new one in your settings there.`;
  }
  if (code === "RepoNotFound" || status === 401 || status === 404) {
    return settings.token
      ? `There is no ${kind} "${id}" on the Hub or here, or the token's account may not see it: check the name, and the token's rights.`
      : `There is no ${kind} "${id}" on the Hub or here, or it is private: check the name, or set HF_TOKEN to a token that may read it.`;
  }
  const reason = message ? ` (${message})` : "";
  if (status === 403) {
    return `The Hub refuses ${
      what ?? id
    }${reason}: check the token's rights, on ${page} and in your settings there.`;
  }
  return `The Hub answered ${status} for ${what ?? id}${reason}.`;
}

/** The server's own words, short, on one line, and never with the token in them. */
export function serverText(text: string | null, token: string | undefined): string {
  const whole = token ? (text ?? "").replaceAll(token, "[token]") : text ?? "";
  // deno-lint-ignore no-control-regex
  return whole.replace(/[\x00-\x1f\x7f]+/g, " ").trim().slice(0, 200).replace(/[.!]$/, "");
}

/** What such a status means. */
export function passingText(status: number, host: string): string {
  return status === 429
    ? `${host} has had too many requests from here (429; with a token it allows more)`
    : `${host} answered ${status}`;
}

/** Milliseconds of Retry-After (seconds or a date), or of the Hub's rate limit header ("api";r=0;t=55). */
export function askedWait(headers: Headers): number | undefined {
  const after = headers.get("retry-after")?.trim() ?? headers.get("ratelimit")?.match(/r=0;\s*t=(\d+)/)?.[1];
  if (after === undefined) return undefined;
  if (/^\d+$/.test(after)) return Number(after) * 1000;
  const date = Date.parse(after);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}
