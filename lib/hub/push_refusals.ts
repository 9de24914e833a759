// What the Hub's refusals of a push mean, in one sentence that says what to do.
import { UserError } from "../errors.ts";
import { noHub } from "./api.ts";
import type { Repo } from "./names.ts";
import { AddressRanOut } from "./push_fetch.ts";
import { pageOf, serverText } from "./refusals.ts";
import type { HubSettings } from "./settings.ts";

/** The error for a refused push. */
export function pushRefusal(settings: HubSettings, repo: Repo, status: number, text = ""): UserError {
  const { id, type } = repo, owner = id.split("/")[0];
  const words = serverText(text, settings.token), reason = words ? ` (${words})` : "";
  if (status === 401) {
    return new UserError(
      `The Hub does not know the token (HF_TOKEN or the token file): it is mistyped or expired, make a new one with write access in your settings there.`,
    );
  }
  if (status === 402) {
    return new UserError(
      `The Hub asks for a paid account to make the ${type} ${id}${reason}: see ${settings.endpoint}/pricing, or push without it.`,
    );
  }
  if (status === 403) {
    return new UserError(
      `The token may not write to ${id}${reason}: it needs write access, and its account a right to write to what ${owner} has.`,
    );
  }
  if (status === 404) {
    return new UserError(
      `The Hub has no ${type} ${id} that this token may write to: check the name and the token's rights.`,
    );
  }
  return new UserError(`The Hub answered ${status} for ${pageOf(settings, repo)}${reason}.`);
}

/** Runs a call of @huggingface/hub; its errors, which hold signed addresses, become sentences. */
export async function hubError<T>(settings: HubSettings, repo: Repo, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof UserError || error instanceof DOMException) throw error;
    if (error instanceof AddressRanOut) {
      throw new UserError(`${repo.id}: ${error.message} again and again; try again later.`);
    }
    const { statusCode, data } = error as { statusCode?: number; data?: { error?: unknown } };
    if (statusCode === undefined) throw error instanceof SyntaxError ? noHub(settings) : error;
    throw pushRefusal(settings, repo, statusCode, typeof data?.error === "string" ? data.error : "");
  }
}
