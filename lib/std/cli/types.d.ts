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
export function parseArgs(
  args: string[],
  options?: ParseOptions,
  // deno-lint-ignore no-explicit-any
): Record<string, any> & { _: (string | number)[] };
