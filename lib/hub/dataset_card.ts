// The subsets and splits of a data set: by the YAML head of its README, else by the names of its files, as Python's datasets
// finds them (data_files.py and utils/metadata.py there).
import { UserError } from "../errors.ts";
import { matchesGlob } from "./glob.ts";

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A subset ("config"): patterns of files by split, in the order of the card. */
export interface Subset {
  name: string;
  /** Undefined where the card leaves the splits to the files' names. */
  splits?: Map<string, string[]>;
  /** Folder that the patterns and names are looked for in. */
  folder: string;
  isDefault: boolean;
}

/**
 * The subsets that a README's YAML head lists under `configs`; none where it has no such list.
 *
 * @throws UserError for YAML or entries that cannot be read
 */
export async function subsetsOfCard(readme: string, where: string): Promise<Subset[]> {
  const head = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---[ \t]*(\r?\n|$)/.exec(readme)?.[1];
  if (head === undefined || !/^configs\s*:/m.test(head)) return [];
  const { parse } = await import("yaml");
  let card: unknown;
  try {
    card = parse(head, { logLevel: "error", maxAliasCount: 100 });
  } catch (error) {
    throw new UserError(
      `${where}: its head is not valid YAML (${String((error as Error).message).split("\n")[0]}).`,
    );
  }
  const configs = isObject(card) ? card.configs ?? [] : [];
  if (!Array.isArray(configs)) throw new UserError(`${where}: "configs" is no list.`);
  return configs.map((config) => subsetOf(config, where));
}

function subsetOf(config: unknown, where: string): Subset {
  const name = isObject(config) ? config.config_name : undefined;
  if (!isObject(config) || typeof name !== "string") {
    throw new UserError(`${where}: an entry of "configs" has no "config_name".`);
  }
  const folder = config.data_dir ?? "";
  if (typeof folder !== "string") throw new UserError(`${where}: "data_dir" of ${name} is no text.`);
  return {
    name,
    folder: folder.replace(/^\.\//, "").replace(/\/+$/, ""),
    isDefault: name === "default" || config.default === true,
    splits: config.data_files === undefined ? undefined : splitsOf(config.data_files, name, where),
  };
}

/** `data_files` is a pattern, a list of patterns (all of them "train"), or a list of { split, path }. */
function splitsOf(files: unknown, name: string, where: string): Map<string, string[]> {
  const patterns = (value: unknown): string[] => {
    const list = [value].flat();
    if (list.every((item) => typeof item === "string" && item.length <= 500)) {
      return list.map((item) => (item as string).replace(/^\.\//, ""));
    }
    throw new UserError(`${where}: "data_files" of ${name} must be paths, or pairs of "split" and "path".`);
  };
  const list = [files].flat();
  if (!list.some(isObject)) return new Map([["train", patterns(list)]]);
  const splits = new Map<string, string[]>();
  for (const entry of list) {
    const { split, path } = isObject(entry) ? entry : {};
    if (typeof split !== "string") {
      throw new UserError(`${where}: an entry of "data_files" of ${name} has no "split".`);
    }
    splits.set(split, [...splits.get(split) ?? [], ...patterns(path)]);
  }
  return splits;
}

const KEYWORDS: [string, string[]][] = [
  ["train", ["train", "training"]],
  ["validation", ["validation", "valid", "dev", "val"]],
  ["test", ["test", "testing", "eval", "evaluation"]],
];
const BETWEEN = "[-._ 0-9]";
const SHARDED = "data/*-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]*.*";
const IN_FOLDER = (word: string) => [
  `**/${word}/**`,
  `**/${word}${BETWEEN}*/**`,
  `**/*${BETWEEN}${word}/**`,
  `**/*${BETWEEN}${word}${BETWEEN}*/**`,
];
const IN_NAME = (word: string) => [`**/${word}${BETWEEN}*`, `**/*${BETWEEN}${word}${BETWEEN}*`];

/**
 * Splits by the files' names: data/<split>-00000-of-00001.parquet, else a split's word in a folder's name, else in a file's
 * name, else everything is "train".
 *
 * @param paths of data files, relative to where the data set begins, sorted
 */
export function splitsByName(paths: readonly string[]): Map<string, string[]> {
  const sharded = paths.filter((path) => matchesGlob(path, SHARDED));
  if (sharded.length > 0) {
    return inUsualOrder(group(sharded, (path) => path.match(/^data\/(.*?)-\d{5}-of-\d{5}/)![1]));
  }
  for (const patterns of [IN_FOLDER, IN_NAME]) {
    const splits = new Map<string, string[]>();
    for (const [split, words] of KEYWORDS) {
      const found = filesOf(words.flatMap(patterns), paths);
      if (found.length > 0) splits.set(split, found);
    }
    if (splits.size > 0) return splits;
  }
  const all = filesOf(["**"], paths); // without hidden ones
  return all.length > 0 ? new Map([["train", all]]) : new Map();
}

/** The files that patterns mean, in the patterns' order, each once. */
export function filesOf(patterns: readonly string[], paths: readonly string[]): string[] {
  return [...new Set(patterns.flatMap((pattern) => paths.filter((path) => matchesGlob(path, pattern))))];
}

function group(paths: readonly string[], nameOf: (path: string) => string): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const path of paths) groups.set(nameOf(path), [...groups.get(nameOf(path)) ?? [], path]);
  return groups;
}

function inUsualOrder(splits: Map<string, string[]>): Map<string, string[]> {
  const first = KEYWORDS.map(([split]) => split);
  const place = (split: string) => first.includes(split) ? first.indexOf(split) : first.length;
  return new Map([...splits].sort(([a], [b]) => place(a) - place(b) || (a < b ? -1 : 1)));
}
