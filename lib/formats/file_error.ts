// The operating system's complaints about a file, as one sentence for the user.

import { UserError } from "../errors.ts";

/**
 * Turns what went wrong with a file into a {@linkcode UserError} where the user can mend it (missing file, folder or
 * permission, with the flag that grants it); anything else is given back as it is.
 *
 * @param error what was thrown
 * @param path the file or folder it was about
 * @param action what was tried: decides between `--allow-read` and `--allow-write`
 */
export function fileError(error: unknown, path: string, action: "read" | "write"): unknown {
  if (error instanceof Deno.errors.NotFound) {
    return new UserError(
      action === "read"
        ? `${path} does not exist: check the path.`
        : `${path} cannot be written: its folder does not exist, create it first.`,
    );
  }
  if (error instanceof Deno.errors.NotCapable) {
    return new UserError(
      `no permission to ${action} ${path}: run with --allow-${action} (or --allow-${action}=${path}).`,
    );
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return new UserError(`${path}: the operating system does not allow to ${action} it.`);
  }
  if (error instanceof Deno.errors.IsADirectory) {
    return new UserError(`${path} is a folder where a file is expected.`);
  }
  if (error instanceof Deno.errors.NotADirectory) {
    return new UserError(`${path} leads through a file where a folder is expected.`);
  }
  const code = (error as { code?: unknown } | null)?.code;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new UserError(`${path} cannot be written: the disk is full, make room on it.`);
  }
  return error;
}
