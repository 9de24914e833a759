// What is about to be published, shown before anything is.
import type { Repo } from "../hub/names.ts";
import { type FileState, fileState, type PushFile, readRemote, type RemoteRepo } from "../hub/push.ts";
import { pageOf } from "../hub/refusals.ts";
import type { HubSettings } from "../hub/settings.ts";
import { UserError } from "../errors.ts";
import { formatBytes } from "../report/format.ts";
import type { LeftOut } from "./files.ts";

/** A file that is about to be published. */
export interface PlannedFile {
  /** Its path in the repository. */
  path: string;
  /** Bytes. */
  size: number;
  /** Whether the repository has it: not at all, otherwise, or the same, which is not sent again. */
  state: FileState;
}

/** What is about to be published in one repository. */
export interface PlannedRepo {
  /** What it is. */
  type: "model" | "space";
  /** "owner/name" */
  id: string;
  /** Its page. */
  url: string;
  /** Who may see it. */
  visibility: "private" | "public";
  /** It is made now. */
  isNew: boolean;
  /** All its files from here. */
  files: PlannedFile[];
  /** What stays here of the folder, and why. */
  leftOut: LeftOut[];
}

/** What is about to be published. */
export interface PushPlan {
  /** The model's repository; then the space's, if one was asked for. */
  repos: PlannedRepo[];
  /** Bytes of the files that are new or replaced. */
  toSend: number;
  /** The model's card (README.md), where one is written from the run. */
  card?: string;
  /** All of it as a text. */
  toString(): string;
}

/** A repository with what is pushed into it. */
export interface Target {
  repo: Repo;
  files: PushFile[];
  leftOut: LeftOut[];
  /** The card that was written. */
  card?: string;
  remote?: RemoteRepo;
}

/**
 * Compares what is here with what is there.
 *
 * @throws UserError for a public repository where nobody said that it may be public
 */
export async function planPush(
  targets: Target[],
  settings: HubSettings,
  isPrivate: boolean,
): Promise<PushPlan> {
  const repos: PlannedRepo[] = [];
  for (const target of targets) {
    target.remote = await readRemote(target.repo, settings);
    repos.push(await planOne(target, settings, isPrivate));
  }
  const changed = repos.flatMap(({ files }) => files.filter(({ state }) => state !== "there"));
  const toSend = changed.reduce((sum, { size }) => sum + size, 0);
  return { repos, toSend, card: targets[0].card, toString: () => planText(repos, toSend) };
}

async function planOne(target: Target, settings: HubSettings, isPrivate: boolean): Promise<PlannedRepo> {
  const { repo, remote, leftOut } = target;
  if (remote && !remote.isPrivate && isPrivate) {
    throw new UserError(
      `${repo.id} is public, so what is pushed there can be seen by everybody: say { private: false } if that is meant, or choose another name.`,
    );
  }
  const files: PlannedFile[] = [];
  for (const file of target.files) {
    files.push({ path: file.path, size: file.size, state: await fileState(file, remote) });
  }
  return {
    type: repo.type as "model" | "space",
    id: repo.id,
    url: pageOf(settings, repo),
    visibility: (remote?.isPrivate ?? isPrivate) ? "private" : "public",
    isNew: remote === undefined,
    files,
    leftOut,
  };
}

const STATES: Record<FileState, string> = {
  new: "new",
  replaced: "replaces the one there",
  there: "there already",
};
/** Folders of more files are one line. */
const MANY = 20;

function planText(repos: readonly PlannedRepo[], toSend: number): string {
  const blocks = repos.map((repo) => {
    const who = repo.visibility === "private"
      ? "private: only its owner sees it"
      : "PUBLIC: everybody sees it";
    const made = repo.isNew ? "a new one" : "is there already";
    const lines = [
      `${repo.type === "space" ? "Space" : "Model"} ${repo.id} (${repo.url}), ${made}, ${who}`,
      ...table(
        shortened(repo.files).map(({ path, size, state }) => [path, formatBytes(size), STATES[state]]),
      ),
    ];
    if (repo.leftOut.length > 0) {
      const left = table(repo.leftOut.map(({ path, size, why }) => [path, formatBytes(size), why]));
      lines.push("not published:", ...left);
    }
    return lines.join("\n");
  });
  return `${blocks.join("\n\n")}\n\n${formatBytes(toSend)} to send`;
}

/** Of a folder with many files its sums. */
function shortened(files: readonly PlannedFile[]): PlannedFile[] {
  const folderOf = ({ path }: PlannedFile) => path.includes("/") ? path.slice(0, path.indexOf("/") + 1) : "";
  const groups = Map.groupBy(files, folderOf);
  return [...groups].flatMap(([folder, inside]) => {
    if (folder === "" || inside.length <= MANY) return inside;
    const states = new Set(inside.map(({ state }) => state));
    const size = inside.reduce((sum, file) => sum + file.size, 0);
    const state = states.size === 1 ? inside[0].state : "replaced";
    return [{ path: `${folder} (${inside.length} files)`, size, state }];
  });
}

/** Columns; sizes to the right. */
function table(rows: readonly string[][]): string[] {
  const width = (column: number) => Math.max(0, ...rows.map((row) => row[column].length));
  const [first, second] = [width(0), width(1)];
  return rows.map(([path, size, what]) => `  ${path.padEnd(first)}  ${size.padStart(second)}  ${what}`);
}
