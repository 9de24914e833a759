// Runs the sides of a benchmark, each as a process of its own, so that its peak memory is its own. A side prints one JSON object
// in its last line; ours/*.ts and rivals/*.py with the same task have the same options and the same fields.
import { fromFileUrl } from "@std/path";

type Options = Readonly<Record<string, string | number | boolean | undefined>>;

/** A benchmark's own options: `--steps 4 --rows 16`, with their defaults. */
export { parseArgs } from "@std/cli";

function flags(options: Options): string[] {
  return Object.entries(options).flatMap(([name, value]) => {
    if (value === undefined || value === false) return [];
    return value === true ? [`--${name}`] : [`--${name}`, String(value)];
  });
}

const pathOf = (script: string) => fromFileUrl(new URL(script, import.meta.url));

/** Runs bench/ours/<script> in a Deno of its own. */
export async function ours<T>(script: string, options: Options): Promise<T> {
  const args = ["run", "-A", "--no-check", pathOf(`ours/${script}`), ...flags(options)];
  const answer = await run<T>(Deno.execPath(), args);
  if ("failed" in answer) throw new Error(`bench/ours/${script} failed:\n${answer.failed}`);
  return answer.result;
}

/** Runs bench/rivals/<script> (.py with FINTUNE_PYTHON, .ts with Deno); where it cannot run, says why and gives nothing. */
export async function rival<T>(script: string, options: Options): Promise<T | undefined> {
  const path = pathOf(`rivals/${script}`);
  const python = Deno.env.get("FINTUNE_PYTHON") ?? "python3";
  const answer = script.endsWith(".py")
    ? await run<T>(python, [path, ...flags(options)])
    : await run<T>(Deno.execPath(), ["run", "-A", "--no-check", path, ...flags(options)]);
  if ("result" in answer) return answer.result;
  console.log(`Not measured: rivals/${script} ${flags(options).join(" ")}\n  ${lastLines(answer.failed)}\n`);
  return undefined;
}

async function run<T>(program: string, args: string[]): Promise<{ result: T } | { failed: string }> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(program, { args, stdin: "null", stderr: "piped" }).output();
  } catch (error) {
    return { failed: `${program} does not start: ${(error as Error).message}` };
  }
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  const lines = text(output.stdout).split("\n");
  const last = lines.pop()!;
  if (!output.success || !last.startsWith("{")) {
    return { failed: text(output.stderr) || last || `it ended with ${output.signal ?? output.code}` };
  }
  for (const line of lines) console.log(`  ${line}`);
  return { result: JSON.parse(last) };
}

/** The end of what a program complained of, without colours. */
function lastLines(text: string): string {
  // deno-lint-ignore no-control-regex
  const lines = text.replace(/\x1b\[[0-9;]*m/g, "").split("\n").filter((line) => /\w/.test(line));
  const named = lines.findLast((line) => /error/i.test(line));
  return (named ?? lines.at(-1) ?? "no reason given").trim().slice(0, 300);
}

/** What every side says of its memory. */
export interface Memory {
  readonly peakBytes: number;
}

/** "2.10 GB" */
export const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

/** The line that a benchmark ends in: how our speed and peak memory compare with the rival's. */
export function verdict(
  what: string,
  mine: { speed: number } & Memory,
  theirs: { speed: number } & Memory | undefined,
): string {
  if (!theirs) return `${what}: the rival was not measured; our peak is ${gigabytes(mine.peakBytes)}`;
  const ratio = (mine.speed / theirs.speed).toFixed(2);
  const share = (100 * mine.peakBytes / theirs.peakBytes).toFixed(0);
  return `${what}: ${ratio} times as fast; peak memory ${gigabytes(mine.peakBytes)} beside ${
    gigabytes(theirs.peakBytes)
  } (${share} %)`;
}

/** What the figures were measured on. */
export function machine(): string {
  const [load] = Deno.loadavg();
  const cpu = cpuName();
  return `${cpu}, ${navigator.hardwareConcurrency} cores, load ${
    load.toFixed(1)
  } (a busy machine measures nothing); ` +
    `Deno ${Deno.version.deno}, ${new Date().toISOString().slice(0, 10)}`;
}

function cpuName(): string {
  try {
    return Deno.readTextFileSync("/proc/cpuinfo").match(/model name\s*:\s*(.*)/)?.[1] ?? Deno.build.arch;
  } catch {
    return Deno.build.arch;
  }
}
