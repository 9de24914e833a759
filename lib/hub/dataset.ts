// The files of a data set on the Hub: which subset, which split, and where they are once fetched.
import { UserError } from "../errors.ts";
import { filesOf, splitsByName, type Subset, subsetsOfCard } from "./dataset_card.ts";
import type { HubOptions } from "./model.ts";
import { lookedUp, type Repo, repository } from "./names.ts";
import { fetchFiles, type OpenRepo, openRepo } from "./repo.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

/** Options of {@linkcode datasetFiles}, and of loadDataset for names on the Hub. */
export interface HubDatasetOptions extends HubOptions {
  /** Which subset ("config"); needed where the data set has several and none is its default. */
  subset?: string;
  /** Which split; default "train", or the only one there is; "all" takes every split. */
  split?: string;
}

/** Where the Hub keeps what it made of data sets that only a script can read. */
const EXPORT = "refs/convert/parquet";

/** Endings that can be read, by kind; of several kinds in one split the most frequent is taken, as Python's datasets does. */
const KINDS: Record<string, RegExp> = {
  parquet: /\.parquet$/i,
  jsonl: /\.(jsonl?|ndjson)(\.gz)?$/i,
  csv: /\.[ct]sv(\.gz)?$/i,
  text: /\.txt(\.gz)?$/i,
};
const NO_DATA = /(^|\/)(README\.md|config\.json|dataset_infos?\.json|dataset_dict\.json|requirements\.txt)$/;

/**
 * Fetches the files of one split of a data set on the Hub into the cache, if they are not there. Subsets and splits are those
 * of the card (README.md), else those that the files' names tell; data sets that only a script can read are taken from the
 * Parquet files that the Hub made of them.
 *
 * @param id "owner/name"
 * @param settings default: what the environment says
 * @returns the files' paths on disk, in the data set's order
 * @throws UserError naming what there is, when the subset or split is not there or must be chosen; and when the Hub refuses
 */
export async function datasetFiles(
  id: string,
  options: HubDatasetOptions = {},
  settings?: HubSettings,
): Promise<string[]> {
  const repo = repository("dataset", id, options.revision);
  const open = await lookedUp(id, async () => await openRepo(repo, settings ?? await hubSettings()));
  const paths = await choose(open, options);
  if (paths.length > 0) return await fetchFiles(open, paths, options.quiet);
  const exported = await openExport(repo, open.settings);
  const made = exported ? await choose(exported, options) : [];
  if (exported && made.length > 0) return await fetchFiles(exported, made, options.quiet);
  throw new UserError(
    `${id} holds no Parquet, JSON, CSV or text files at revision "${repo.revision}", and the Hub has made none of them (${EXPORT}): it cannot be read here.`,
  );
}

/** What the Hub made of the newest revision; undefined where it did not. */
async function openExport(repo: Repo, settings: HubSettings): Promise<OpenRepo | undefined> {
  if (repo.revision !== "main") return undefined;
  try {
    return await openRepo({ ...repo, revision: EXPORT }, settings);
  } catch (error) {
    if (/has no revision/.test((error as Error).message)) return undefined;
    throw error;
  }
}

/** The chosen split's files, by their paths in the repository; none where the repository has no data files. */
async function choose(open: OpenRepo, options: HubDatasetOptions): Promise<string[]> {
  const { repo, files } = open;
  // Beside a script (name.py) texts are a licence or notes, and the rows are elsewhere.
  const hasScript = files.has(`${repo.id.split("/").at(-1)}.py`);
  const endings = Object.entries(KINDS).filter(([kind]) => !hasScript || kind !== "text").map(([, ending]) =>
    ending
  );
  const isData = (path: string) => !NO_DATA.test(path) && endings.some((ending) => ending.test(path));
  const data = [...files.keys()].filter(isData).sort();
  if (data.length === 0) return [];
  const subset = chooseSubset(repo, await subsetsOf(open, data, options.subset), options.subset);
  const inside = subset.folder === "" ? "" : `${subset.folder}/`;
  const own = data.filter((path) => path.startsWith(inside)).map((path) => path.slice(inside.length));
  const splits = subset.splits
    ? new Map([...subset.splits].map(([name, patterns]) => [name, filesOf(patterns, own)] as const))
    : splitsByName(own);
  const chosen = chooseSplit(repo, subset, splits, options.split);
  return oneKind(chosen).map((path) => inside + path);
}

/** The files of the most frequent kind; texts (a licence, notes) only where there is nothing else. */
function oneKind(paths: string[]): string[] {
  const [text, ...kinds] = ["text", "parquet", "jsonl", "csv"].map((kind) =>
    paths.filter((path) => KINDS[kind].test(path))
  );
  const best = kinds.reduce((best, kind) => kind.length > best.length ? kind : best);
  return best.length > 0 ? best : text;
}

/** By the card; in the Hub's own export the folders are the subsets; else a folder may be asked for by its name. */
async function subsetsOf(open: OpenRepo, data: string[], wanted: string | undefined): Promise<Subset[]> {
  const { repo, files } = open;
  if (repo.revision === EXPORT) {
    const folders = [...new Set(data.map((path) => path.split("/")[0]))];
    return folders.map((name) => ({
      name,
      folder: name,
      isDefault: name === "default",
      splits: exportedSplits(data, name),
    }));
  }
  if (files.has("README.md")) {
    const [path] = await fetchFiles(open, ["README.md"], true);
    const listed = await subsetsOfCard(await Deno.readTextFile(path), `${repo.id}/README.md`);
    if (listed.length > 0) return listed;
  }
  const folder = wanted &&
    [wanted, `data/${wanted}`].find((at) => data.some((path) => path.startsWith(`${at}/`)));
  const name = folder ? wanted : "default";
  return [{ name, folder: folder || "", isDefault: true }];
}

/** <subset>/<split>/0000.parquet; "partial-<split>" where the Hub took only its beginning. */
function exportedSplits(data: string[], subset: string): Map<string, string[]> {
  const splits = new Map<string, string[]>();
  for (const path of data.filter((path) => path.startsWith(`${subset}/`))) {
    const [, folder, ...rest] = path.split("/");
    const name = folder.replace(/^partial-/, "");
    splits.set(name, [...splits.get(name) ?? [], [folder, ...rest].join("/")]);
  }
  return splits;
}

function chooseSubset(repo: Repo, subsets: Subset[], wanted: string | undefined): Subset {
  const names = subsets.map(({ name }) => `"${name}"`).join(", ");
  if (wanted !== undefined) {
    const found = subsets.find(({ name }) => name === wanted);
    if (!found) throw new UserError(`${repo.id} has no subset "${wanted}"; there are ${names}.`);
    return found;
  }
  const found = subsets.length === 1 ? subsets[0] : subsets.find(({ isDefault }) => isDefault);
  if (!found) throw new UserError(`${repo.id} has several subsets: say which with { subset } (${names}).`);
  return found;
}

function chooseSplit(
  repo: Repo,
  { name }: Subset,
  splits: Map<string, string[]>,
  wanted: string | undefined,
): string[] {
  if (wanted === "all" && !splits.has("all")) return [...new Set([...splits.values()].flat())];
  const names = [...splits.keys()].map((split) => `"${split}"`).join(", ");
  const only = wanted === undefined && splits.size === 1 ? [...splits.keys()][0] : undefined;
  const split = wanted ?? only ?? "train";
  const files = splits.get(split);
  if (!files) {
    throw new UserError(
      wanted === undefined
        ? `${repo.id} has no split "train": say which with { split } (${names}).`
        : `${repo.id} has no split "${wanted}"${
          name === "default" ? "" : ` in subset "${name}"`
        }; there are ${names}.`,
    );
  }
  if (files.length === 0) {
    throw new UserError(
      `${repo.id}: the patterns of split "${split}" on its card fit no file that can be read.`,
    );
  }
  return files;
}
