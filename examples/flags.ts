// Command-line flags as a table: types, defaults, --help, and errors that name the nearest flag.
import { parseArgs } from "@std/cli";
import { UserError } from "@fintune/fintune";

/** A flag; `T` is what the script gets. */
export interface Flag<T> {
  help: string;
  kind: "text" | "number" | "switch";
  default?: T;
  /** Reads the value from its text; default: the text itself, or its number. */
  read?(text: string): T;
  /** Tells why a value cannot be. */
  wrong?(value: T): string | undefined;
}

type Values<F> = { [K in keyof F]: F[K] extends Flag<infer T> ? T : never };

/** A text, a path or a name. */
export function text(help: string): Flag<string | undefined>;
export function text(help: string, value: string): Flag<string>;
export function text(help: string, value?: string): Flag<string | undefined> {
  return { kind: "text", help, default: value };
}

/** One of a few words. */
export function choice<const T extends string>(help: string, words: readonly T[], value: T): Flag<T> {
  const wrong = (given: T) => words.includes(given) ? undefined : `it is one of ${words.join(", ")}`;
  return { kind: "text", help: `${help}: ${words.join(", ")}`, default: value, wrong };
}

/** Some of a few words, separated by commas. */
export function several<const T extends string>(
  help: string,
  words: readonly T[],
  value: readonly T[],
): Flag<readonly T[]> {
  const read = (given: string) => given.split(",").map((word) => word.trim()) as T[];
  const wrong = (given: readonly T[]) =>
    given.every((word) => words.includes(word))
      ? undefined
      : `it is made of ${words.join(", ")}, separated by commas`;
  return {
    kind: "text",
    help: `${help}, separated by commas: ${words.join(", ")}`,
    default: value,
    read,
    wrong,
  };
}

/** A number of at least 0, and of at most `most` if that is given. */
export function number(help: string, value: undefined, most?: number): Flag<number | undefined>;
export function number(help: string, value: number, most?: number): Flag<number>;
export function number(help: string, value?: number, most = Number.MAX_VALUE): Flag<number | undefined> {
  const range = most === Number.MAX_VALUE ? "from 0 on" : `from 0 to ${most}`;
  const wrong = (given?: number) =>
    given === undefined || given >= 0 && given <= most ? undefined : `it is a number ${range}`;
  return { kind: "number", help, default: value, wrong };
}

/** A whole number of at least `least`. */
export function whole(help: string, value: undefined, least?: number): Flag<number | undefined>;
export function whole(help: string, value: number, least?: number): Flag<number>;
export function whole(help: string, value?: number, least = 1): Flag<number | undefined> {
  const wrong = (given?: number) =>
    given === undefined || Number.isInteger(given) && given >= least
      ? undefined
      : `it is a whole number from ${least} on`;
  return { kind: "number", help, default: value, wrong };
}

/** On or off; one that is on by default is turned off by --no-<name>. */
export function on(help: string, value = false): Flag<boolean> {
  return { kind: "switch", help, default: value };
}

/**
 * Reads the command line; --help prints `usage` and the table, and ends the program.
 *
 * @throws UserError for a flag that is not in the table (with the nearest that is), a value that is missing or cannot be,
 *   a flag that is given twice, or a word that belongs to no flag
 */
export function readFlags<F extends Record<string, Flag<unknown>>>(
  usage: string,
  flags: F,
  args: readonly string[] = Deno.args,
): Values<F> {
  const names = Object.keys(flags);
  const switches = names.filter((name) => flags[name].kind === "switch");
  const others = names.filter((name) => flags[name].kind !== "switch");
  const parsed = parseArgs([...args], {
    boolean: [...switches, "help"],
    negatable: switches,
    default: Object.fromEntries(switches.map((name) => [name, flags[name].default])),
    string: others,
    collect: others,
    alias: { help: "h" },
    unknown(argument, key) {
      if (key === undefined) throw new UserError(`${argument} belongs to no flag; see --help.`);
      throw unknownFlag(argument.split("=")[0], [...names, ...switches.map((name) => `no-${name}`)]);
    },
  });
  for (const argument of args) {
    const [, name] = /^--(?:no-)?(.+?)=/.exec(argument) ?? [];
    if (switches.includes(name)) throw new UserError(`${argument}: --${name} takes no value.`);
  }
  if (parsed.help) {
    console.log(helpOf(usage, flags));
    Deno.exit(0);
  }
  const value = (name: string) => valueOf(name, flags[name], parsed[name]);
  return Object.fromEntries(names.map((name) => [name, value(name)])) as Values<F>;
}

function valueOf(name: string, flag: Flag<unknown>, given: unknown): unknown {
  if (flag.kind === "switch") return given;
  const [first, ...more] = given as string[];
  if (first === undefined) return flag.default;
  if (more.length > 0) throw new UserError(`--${name} is given ${more.length + 1} times; once is enough.`);
  if (first.trim() === "") throw new UserError(`--${name} has no value.`);
  const value = flag.read ? flag.read(first) : flag.kind === "number" ? Number(first) : first;
  const wrong = flag.wrong?.(value);
  if (wrong) throw new UserError(`--${name} is "${first}"; ${wrong}.`);
  return value;
}

function unknownFlag(given: string, names: readonly string[]): UserError {
  const name = given.replace(/^-+/, "");
  const meant = nearest(name, names);
  const near = name.length > 1 && distance(meant, name) <= Math.max(2, name.length / 3);
  return new UserError(`${given} is no flag${near ? `; did you mean --${meant}?` : "; see --help."}`);
}

/** The name that is most like this one. */
export function nearest(name: string, names: readonly string[]): string {
  return names.toSorted((a, b) => distance(a, name) - distance(b, name))[0];
}

/** Letters to change, add or leave away (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}

function helpOf(usage: string, flags: Record<string, Flag<unknown>>): string {
  const lines = Object.entries(flags).map(([name, flag]) => {
    const shown = flag.kind === "switch"
      ? (flag.default ? `--no-${name}` : `--${name}`)
      : `--${name} <${flag.kind}>`;
    const value = flag.kind === "switch" || flag.default === undefined ? "" : ` (${flag.default})`;
    return [shown, flag.help + value];
  });
  const width = Math.max(...lines.map(([shown]) => shown.length));
  return `${usage}\n\n${lines.map(([shown, help]) => `  ${shown.padEnd(width)}  ${help}`).join("\n")}`;
}
