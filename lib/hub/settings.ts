// What the environment says about the Hub: the same variables and files that Python's huggingface_hub reads, so that a machine
// which is set up for one is set up for the other.
import { setTimeout as wait } from "node:timers/promises";
import { join } from "@std/path";
import { UserError } from "../errors.ts";
import { fileError } from "../formats/file_error.ts";

/** How the Hub is reached and where its files are kept. */
export interface HubSettings {
  /** Address of the Hub, without a slash at its end. */
  endpoint: string;
  /** Sent to the endpoint alone; undefined where there is none. */
  token?: string;
  /** Folder of models--owner--name and datasets--owner--name. */
  cache: string;
  /** Ask nobody: what is not in the cache is an error. */
  offline: boolean;
  /** Whether snapshots may link to blobs; where not, the files lie in the snapshots themselves. */
  symlinks: boolean;
  /** Upload by the older way (LFS) alone. Default: Xet where the Hub offers it. */
  withoutXet?: boolean;
  /** No progress line. */
  quiet: boolean;
  /** Milliseconds without a byte before a connection is given up. */
  timeout: number;
  /** Waits between two tries; the signal ends it at once. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** Reads the settings anew; cheap, and a notebook may have changed them. */
export async function hubSettings(): Promise<HubSettings> {
  const home = hubHome();
  const cache = variable("HF_HUB_CACHE") ?? variable("HUGGINGFACE_HUB_CACHE") ?? (home && join(home, "hub"));
  if (cache === undefined) {
    throw new UserError(
      "the folder of the Hub's cache is not known: run with --allow-env=HF_*,HOME,XDG_CACHE_HOME (-P=hub has it).",
    );
  }
  return {
    endpoint: await endpoint(),
    token: await token(home),
    cache: expandHome(cache),
    offline: isOn("HF_HUB_OFFLINE") || isOn("TRANSFORMERS_OFFLINE"),
    symlinks: !isOn("HF_HUB_DISABLE_SYMLINKS"),
    withoutXet: isOn("HF_HUB_DISABLE_XET"),
    quiet: isOn("HF_HUB_DISABLE_PROGRESS_BARS"),
    timeout: 1000 * (Number(variable("HF_HUB_DOWNLOAD_TIMEOUT")) || 30),
    sleep: (milliseconds, signal) => wait(milliseconds, undefined, { signal }),
  };
}

/** An environment variable; undefined also where it may not be read. */
function variable(name: string): string | undefined {
  try {
    return Deno.env.get(name) || undefined;
  } catch {
    return undefined;
  }
}

function isOn(name: string): boolean {
  return ["1", "ON", "YES", "TRUE"].includes(variable(name)?.toUpperCase() ?? "");
}

const homeFolder = () => variable(Deno.build.os === "windows" ? "USERPROFILE" : "HOME");

const expandHome = (path: string) => path.replace(/^~(?=$|[/\\])/, () => homeFolder() ?? "~");

/** HF_HOME, else the "huggingface" folder of the user's cache; undefined where neither is known. */
function hubHome(): string | undefined {
  const home = homeFolder();
  const caches = variable("XDG_CACHE_HOME") ?? (home && join(home, ".cache"));
  const found = variable("HF_HOME") ?? (caches && join(caches, "huggingface"));
  return found && expandHome(found);
}

async function endpoint(): Promise<string> {
  const given = variable("HF_ENDPOINT");
  if (given === undefined) return (await import("@huggingface/hub")).HUB_URL;
  const url = URL.parse(given);
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
    throw new UserError("HF_ENDPOINT must be an http(s) address without user, password and query.");
  }
  return url.href.replace(/\/+$/, "");
}

/** HF_TOKEN, else the file that `hf auth login` writes. */
async function token(home: string | undefined): Promise<string | undefined> {
  const given = clean(variable("HF_TOKEN") ?? variable("HUGGING_FACE_HUB_TOKEN"), "HF_TOKEN");
  if (given !== undefined || isOn("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return given;
  const path = variable("HF_TOKEN_PATH") ?? (home && join(home, "token"));
  return path === undefined ? undefined : await tokenFile(expandHome(path));
}

async function tokenFile(path: string): Promise<string | undefined> {
  try {
    return clean(await Deno.readTextFile(path), path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    // Without a file there is no token; one that may not be read is as good as none, as public files need none.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) return undefined;
    throw fileError(error, path, "read");
  }
}

/** Without line ends; what no header can hold is refused here, as the header's own error would show it. */
function clean(text: string | undefined, where: string): string | undefined {
  const token = text?.trim();
  if (token && !/^[\x21-\x7e]+$/.test(token)) {
    throw new UserError(`The token in ${where} has characters that no token has: copy it again.`);
  }
  return token || undefined;
}
