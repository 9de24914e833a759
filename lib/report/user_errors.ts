// A user's mistake as one sentence on the terminal, without a stack trace.
import { UserError } from "../errors.ts";
import { inNotebook } from "./notebook.ts";

/**
 * From here on a script that ends by a {@linkcode UserError} prints its sentence alone and exits with 1; every other error
 * keeps its stack trace. For scripts; in a notebook it does nothing, since the kernel shows errors itself.
 *
 * @example
 * ```ts
 * import { showUserErrors } from "@fintune/fintune";
 * showUserErrors(); // at the top of a script
 * ```
 */
export function showUserErrors(): void {
  if (inNotebook()) return;
  globalThis.addEventListener("unhandledrejection", (event) => {
    if (!(event.reason instanceof UserError)) return;
    event.preventDefault();
    console.error(event.reason.message);
    Deno.exit(1);
  });
}
