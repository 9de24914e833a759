// The signature of the function of @std/cli that this project uses.
export interface ParseOptions {
  boolean?: string[];
  string?: string[];
  collect?: string[];
  negatable?: string[];
  alias?: Record<string, string>;
  default?: Record<string, unknown>;
  unknown?: (argument: string, key?: string, value?: unknown) => unknown;
}
// deno-lint-ignore no-explicit-any
export function parseArgs(args: string[], options?: ParseOptions): Record<string, any> & { _: (string | number)[] };
