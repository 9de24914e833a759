// Which files a source means: a path, a folder, a glob or a URL, and which of a folder's files belong to a split.

import { basename, dirname, extname, join } from "@std/path";
import { UserError } from "../errors.ts";
import { fileError } from "../formats/file_error.ts";
import { splitsByName } from "../hub/dataset_card.ts";
import { isURL, kindOfURL } from "./download.ts";
import { globFiles } from "./glob.ts";
import type { DataFile, LoadOptions } from "./options.ts";

const TABLES = [".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet"];
const TEXTS = [".txt", ".md"];
/** What can be read, for messages. */
export const KINDS: string = `${[...TABLES, ...TEXTS].join(", ")} (each also with .gz)`;

// Files that describe a data set and hold none of its rows.
const ABOUT = /^(dataset_infos?|dataset_dict|state|config|package|deno)\.json$/i;

/** The kind of file a name's ending means: ".csv" for "rows.CSV.gz"; undefined for one that cannot be read. */
export function kindOf(name: string): string | undefined {
  const lower = name.toLowerCase();
  const kind = extname(lower.endsWith(".gz") ? lower.slice(0, -3) : lower);
  return [...TABLES, ...TEXTS].includes(kind) ? kind : undefined;
}

/** Files of a source that is no URL, in the order of their names; undefined when there is no such file, folder or match. */
export async function localFiles(source: string, options: LoadOptions): Promise<DataFile[] | undefined> {
  const found = await statOf(source);
  if (found) refuseHubOptions(source, options);
  if (found?.isDirectory) return await folderFiles(source, options);
  if (found) {
    return chooseSplit([source], dirname(source), options.split).map((path) => fileOf(path, options));
  }
  if (!/[*?[{]/.test(source)) return undefined;
  const paths = await globFiles(source).catch((error) => {
    throw fileError(error, source, "read");
  });
  if (paths.length === 0) throw new UserError(`${source} matches no file.`);
  const base = source.slice(0, source.search(/[*?[{]/)).replace(/[^/\\]*$/, "");
  return chooseSplit(paths, base, options.split ?? "all").map((path) => fileOf(path, options));
}

/** The file behind a URL: its path's ending says what it is, else the server's content type. */
export async function remoteFile(url: string, options: LoadOptions): Promise<DataFile> {
  const kind = options.format && `.${options.format}` || kindOf(URL.parse(url)?.pathname ?? "") ||
    await kindOfURL(url);
  if (kind) return { path: url, kind };
  throw new UserError(
    `${url}: neither its ending nor the server's content type says what it is; give { format: "csv" } or the like.`,
  );
}

// A folder here hides a name on the Hub: what was asked of the one must not be lost on the other.
function refuseHubOptions(source: string, options: LoadOptions): void {
  const name = (["revision", "subset"] as const).find((name) => options[name] !== undefined);
  if (name === undefined) return;
  throw new UserError(
    `${source} is a file or folder here, which has no ${name}: leave { ${name} } out, or name a data set on the Hub.`,
  );
}

/** A file that was named outright. */
export function fileOf(path: string, { format }: LoadOptions): DataFile {
  if (isURL(path)) throw new UserError(`${path} is a URL where a file is expected.`);
  if (format && ![...TABLES, ...TEXTS].includes(`.${format}`)) {
    throw new UserError(
      `the format ${
        JSON.stringify(format)
      } is not known: give "json", "jsonl", "csv", "tsv", "parquet" or "txt".`,
    );
  }
  const kind = format ? `.${format}` : kindOf(path);
  if (kind) return { path, kind };
  const arrow = extname(path) === ".arrow" ? " (save_to_disk's Arrow files: write them with to_parquet)" : "";
  throw new UserError(
    `${path}: the ending says nothing that can be read${arrow}; it should be one of ${KINDS}, or give { format }.`,
  );
}

async function folderFiles(folder: string, options: LoadOptions): Promise<DataFile[]> {
  const all = await filesBelow(folder);
  const kinds = options.format || !options.sampleBy ? [TABLES, [".txt"]] : [TEXTS];
  for (const kind of kinds) {
    const paths = all.filter((path) => kind.includes(kindOf(path) ?? "") && !ABOUT.test(basename(path)));
    if (paths.length > 0) {
      const chosen = chooseSplit(paths, folder, options.split);
      refuseTwice(chosen);
      return chosen.map((path) => fileOf(path, options));
    }
  }
  throw new UserError(`the folder ${folder} holds no ${KINDS} file.`);
}

// The same table written twice would give every row twice.
function refuseTwice(paths: string[]): void {
  const written = new Map<string, string>();
  for (const path of paths) {
    const table = path.replace(/\.gz$/i, "").replace(/\.[^./\\]*$/, "");
    const other = written.get(table);
    if (other !== undefined) {
      throw new UserError(
        `${path} and ${
          basename(other)
        } look like the same rows in two formats: load one of them, or give a list of files.`,
      );
    }
    written.set(table, path);
  }
}

// Hidden files and folders, and those that begin with two underscores, are passed over, as Hugging Face's loader does.
// Links lead to files and folders elsewhere; `above` are the folders on the way, which a link may not lead back to.
async function filesBelow(folder: string, above: readonly string[] = []): Promise<string[]> {
  if (above.length > 32) throw new UserError(`${folder} is nested more than 32 folders deep.`);
  const found: string[] = [];
  try {
    const here = await Deno.realPath(folder);
    if (above.includes(here)) throw new UserError(`${folder} is a link to a folder that it lies in.`);
    const entries = await Array.fromAsync(Deno.readDir(folder));
    entries.sort((a, b) => a.name < b.name ? -1 : 1);
    for (const { name, isDirectory, isFile, isSymlink } of entries) {
      if (name.startsWith(".") || name.startsWith("__")) continue;
      const path = join(folder, name);
      const target = isSymlink ? await statOf(path) : undefined;
      if (isDirectory || target?.isDirectory) found.push(...await filesBelow(path, [...above, here]));
      else if (isFile || target?.isFile) found.push(path);
    }
  } catch (error) {
    throw fileError(error, folder, "read");
  }
  return found;
}

async function statOf(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw fileError(error, path, "read");
  }
}

/**
 * The files of a split, by the Hub's rules for names. Without a wish, files of several splits are refused: rows to test on must
 * not slip in among those to train on.
 *
 * @param base what the paths begin with that says nothing about a split: the folder that was asked for
 */
export function chooseSplit(paths: string[], base: string, wanted?: string): string[] {
  if (wanted === "all") return paths;
  const slashes = (path: string) => path.replaceAll("\\", "/"); // a glob's matches have Windows' own, whatever it was written with
  const inside = (path: string) =>
    (slashes(path).startsWith(slashes(base)) ? path.slice(base.length) : path).replaceAll("\\", "/").replace(
      /^\/+/,
      "",
    );
  const splits = splitsByName(paths.map(inside));
  const names = [...splits.keys()];
  if (wanted === undefined) {
    if (names.length < 2) return paths;
    throw new UserError(
      `${base} holds several splits (${names.join(", ")}): say which one with { split: "${
        names[0]
      }" }, or { split: "all" }.`,
    );
  }
  const chosen = new Set(splits.get(wanted));
  if (chosen.size > 0) return paths.filter((path) => chosen.has(inside(path)));
  throw new UserError(`${base} holds no file of the split "${wanted}"; found: ${names.join(", ")}.`);
}
