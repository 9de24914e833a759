// What is already there, for those who must not replace it.

import { fileError } from "./file_error.ts";

/**
 * Whether the path is taken, by a file, a folder or a link.
 *
 * @throws UserError when it may not be looked at
 */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw fileError(error, path, "read");
  }
}

/**
 * What lies in a folder; undefined where there is none.
 *
 * @throws UserError when it may not be looked at
 */
export async function namesIn(folder: string): Promise<Set<string> | undefined> {
  if (!await exists(folder)) return undefined;
  try {
    return new Set((await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name));
  } catch (error) {
    throw fileError(error, folder, "read");
  }
}
