// The fetch that @huggingface/hub's calls are given: token, redirects, tries, refusals and limits are this library's.
import { UserError } from "../errors.ts";
import type { Repo } from "./names.ts";
import { refusal } from "./refusals.ts";
import { request, retrying, TRIES } from "./request.ts";
import type { HubSettings } from "./settings.ts";

/** For what is no Hub's answer. */
export const noHub = ({ endpoint }: HubSettings): UserError =>
  new UserError(
    `${endpoint} does not answer as a Hub does: check HF_ENDPOINT, and whether a proxy or a login page answers instead.`,
  );

const MOST_API_BYTES = 64 << 20;

/** A fetch for one repository's calls. Answers are JSON, whole and of bounded size, or an error for the user. */
export function apiFetch(repo: Repo, settings: HubSettings, tries: number = TRIES): typeof fetch {
  return async (input) => {
    const address = String(input instanceof Request ? input.url : input);
    return await retrying(settings, new URL(address).host, async () => {
      const { response, url, body, cancel } = await request(settings, address, {
        accept: "application/json",
      });
      try {
        if (!response.ok) throw refusal(settings, repo, response, url);
        const bytes = await readAll(body(), settings);
        JSON.parse(new TextDecoder().decode(bytes));
        return new Response(bytes, { status: response.status, headers: response.headers });
      } catch (error) {
        throw error instanceof SyntaxError ? noHub(settings) : error;
      } finally {
        cancel();
      }
    }, tries);
  };
}

async function readAll(
  body: AsyncIterable<Uint8Array>,
  settings: HubSettings,
): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of body) {
    size += piece.length;
    if (size > MOST_API_BYTES) throw noHub(settings);
    pieces.push(piece);
  }
  const bytes = new Uint8Array(size);
  for (let at = 0; pieces.length > 0;) {
    const piece = pieces.shift()!;
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
