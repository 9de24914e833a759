// What a name means: something here, or a repository on the Hub; and which file names from there may touch the disk.
import { UserError } from "../errors.ts";

/** The kinds of repositories: models and data sets are read, models and spaces (programs) are pushed to. */
export type RepoType = "model" | "dataset" | "space";

/** A repository at a revision. */
export interface Repo {
  type: RepoType;
  /** "owner/name", or "gpt2" and its like. */
  id: string;
  /** Branch, tag or commit. */
  revision: string;
}

/** Endings of files: such names are paths whose file is missing, not repositories. */
const FILE =
  /\.(jsonl?|ndjson|csv|tsv|parquet|arrow|txt|md|pdf|gz|zip|zst|safetensors|gguf|bin|pt|ts|py|ipynb)$/i;

/**
 * Whether a name can be a repository's, by huggingface_hub's rules (validate_repo_id): "owner/name", or one word without a
 * dot, as the oldest models have. Paths (absolute, ./x, ../x, x/, with backslashes) and names of files never are.
 */
export function isHubName(name: string): boolean {
  const word = "[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?";
  if (!new RegExp(`^(?:${word}/)?${word}$`).test(name) || name.length > 96) return false;
  if (/--|\.\.|\.git$/.test(name) || FILE.test(name)) return false;
  return name.includes("/") || !name.includes(".");
}

/** Whether the name is the Hub's: it looks like one, and nothing here is called so. */
export async function isOnHub(name: string): Promise<boolean> {
  if (!isHubName(name)) return false;
  try {
    await Deno.stat(name);
    return false;
  } catch (error) {
    // What may not be looked at is taken for a path: opening it says which permission is missing.
    return error instanceof Deno.errors.NotFound;
  }
}

/** A repository, its name and revision checked. */
export function repository(type: RepoType, id: string, revision: string = "main"): Repo {
  if (!isHubName(id)) {
    throw new UserError(`"${id}" is no name of a ${type} on the Hub; those are "owner/name".`);
  }
  if (typeof revision !== "string" || problemWith(revision) || /[?#%]/.test(revision)) {
    throw new UserError(`${id}: the revision ${JSON.stringify(revision)} is no branch, tag or commit.`);
  }
  return { type, id, revision };
}

/** Runs what looks a name up; where that cannot even be begun, the message also thinks of a path that is mistyped. */
export async function lookedUp<T>(id: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof UserError) || !/--allow-|HF_HUB_OFFLINE|HF_HUB_CACHE/.test(error.message)) {
      throw error;
    }
    throw new UserError(`There is no file or folder ${id} here, and as a name on the Hub: ${error.message}`, {
      cause: error.cause,
    });
  }
}

/** Names that Windows keeps for devices, with or without an ending. */
const RESERVED = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$/i;

/** What makes a path of a repository unfit to be a path here; undefined where nothing does. */
function problemWith(path: string): string | undefined {
  const parts = path.split("/");
  if (path === "" || path.length > 1024) return "its length";
  if (parts.some((part) => part === ".." || part === "." || part === "")) {
    return "a step that leads elsewhere";
  }
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f\\:*?"<>|]/.test(path)) return "a character that file names have not everywhere";
  if (parts.some((part) => RESERVED.test(part))) return "a name that systems keep for devices";
  if (parts.some((part) => /[. ]$/.test(part))) return "a dot or blank at an end";
  return undefined;
}

/** Refuses a file name that could leave its folder or mean something else on another system. */
export function checkFileName(path: string, where: string): void {
  const problem = problemWith(path);
  if (problem) {
    throw new UserError(
      `${where}: the file ${JSON.stringify(path.slice(0, 80))} is not fetched, as its name has ${problem}.`,
    );
  }
}
