// The files that fit a glob. Node's own glob asks for an environment variable, which -P=train does not grant.

import { join } from "@std/path";
import { matchesGlob } from "../hub/glob.ts";

/**
 * The paths of the files that fit a pattern, sorted: * and ? for letters within a step, [a-z] for one letter, ** for any folders,
 * {a,b} and {1..9} for several patterns in one. Hidden files and folders fit only where the pattern says so; ** follows no links.
 */
export async function globFiles(pattern: string): Promise<string[]> {
  const found = new Set<string>();
  for (const one of withoutBraces(Deno.build.os === "windows" ? pattern.replaceAll("\\", "/") : pattern)) {
    const steps = one.split("/"), first = steps.findIndex(isWild);
    const fixed = first < 0 ? steps.slice(0, -1) : steps.slice(0, first);
    const folder = fixed.length === 1 && fixed[0] === "" ? "/" : fixed.join("/");
    for await (const path of matches(folder, steps.slice(fixed.length))) found.add(path);
  }
  return [...found].sort();
}

const isWild = (step: string) => /[*?[]/.test(step);

/** "{a,b}{1..2}" as "a1", "a2", "b1", "b2". */
function withoutBraces(pattern: string): string[] {
  const [braces, inside] = /\{([^{}]*(?:,|\.\.)[^{}]*)\}/.exec(pattern) ?? [];
  if (braces === undefined) return [pattern];
  const [, from, to] = /^(\d+)\.\.(\d+)$/.exec(inside) ?? [];
  const choices = from === undefined
    ? inside.split(",")
    : Array.from({ length: Math.max(0, +to - +from + 1) }, (_, i) =>
      String(+from + i).padStart(from.length, "0"));
  return choices.flatMap((choice) => withoutBraces(pattern.replace(braces, () => choice)));
}

async function* matches(folder: string, [step, ...rest]: string[]): AsyncGenerator<string> {
  if (step === "**") yield* matches(folder, rest.length > 0 ? rest : ["*"]);
  for (const { name, isDirectory, isFile } of await entriesOf(folder, step)) {
    const path = join(folder, name);
    if (step === "**") {
      if (isDirectory && !/^(\.|__)/.test(name)) yield* matches(path, [step, ...rest]);
    } else if (rest.length > 0) yield* matches(path, rest);
    else if (isFile || (await statOrNone(path))?.isFile) yield path;
  }
}

/** Those in a folder that fit one step. */
async function entriesOf(
  folder: string,
  step: string,
): Promise<Pick<Deno.DirEntry, "name" | "isDirectory" | "isFile">[]> {
  if (!isWild(step)) return [{ name: step, isDirectory: false, isFile: false }];
  try {
    const entries = await Array.fromAsync(Deno.readDir(folder === "" ? "." : folder));
    return entries.filter(({ name }) => step === "**" || matchesGlob(name, step));
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

const isAbsent = (error: unknown) =>
  error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;

const statOrNone = (path: string) =>
  Deno.stat(path).catch((error) => {
    if (isAbsent(error)) return undefined;
    throw error;
  });
