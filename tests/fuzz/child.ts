// Reads mutated inputs one after another in a process of its own: what kills or hangs it is seen by the parent (run.ts).
//   child.ts SEED FOLDER reader:from:to ...
// Prints one line of JSON for each input, at once, so that the parent knows which one was under way.
import { join } from "@std/path";
import { UserError } from "../../lib/errors.ts";
import { countRequests, openFiles, peakMemory } from "./measure.ts";
import { makeInput } from "./input.ts";
import type { Files, Reader } from "./reader.ts";
import { readerNamed } from "./readers.ts";
import type { Result } from "./result.ts";

/** What one input may hold beyond twice its bytes: the engine's young generation, compiled code, buffers of a stream. */
const ALLOWANCE = 16 << 20;
/** A message is one sentence; a hostile file must not write books into it. */
const LONGEST_MESSAGE = 1000;

const [seed, folder, ...jobs] = Deno.args;
const requests = countRequests();

for (const job of jobs) {
  const [name, from, to] = job.split(":");
  const reader = await readerNamed(name);
  const seeds = await reader.seeds();
  for (const files of seeds) await warmUp(reader, files);
  say("ready");
  for (let number = Number(from); number < Number(to); number++) {
    if (number % 64 === 0) gc?.();
    say(await run(reader, number, await makeInput(reader, seeds, Number(seed), number)));
  }
}

/** The seeds themselves load; code and caches that only the first use needs are not counted against an input. */
async function warmUp(reader: Reader, files: Files): Promise<void> {
  if (!reader.passesOuter(files)) {
    throw new Error(`a seed of ${reader.name} does not pass its own outer parse`);
  }
  await put(files);
  await reader.read(folder);
}

async function run(reader: Reader, number: number, files: Files): Promise<Result> {
  await put(files);
  const bytes = [...files.values()].reduce((sum, file) => sum + file.length, 0);
  const limit = 2 * bytes + (reader.allowance ?? ALLOWANCE);
  const passed = reader.passesOuter(files);
  let attempt = await measured(reader);
  if (attempt.memory > limit || attempt.handles > 0) { // garbage or a thread of earlier inputs, perhaps: once more
    gc?.();
    attempt = await measured(reader);
  }
  const { failure, outcome, memory, ms, handles } = attempt;
  const problem = failure ??
    (memory > limit ? `${memory >> 20} MB for ${bytes} bytes` : undefined) ??
    (handles > 0 ? `${handles} files left open` : undefined);
  return { reader: reader.name, number, passed, outcome: problem ? "failure" : outcome, ms, memory, problem };
}

async function measured(reader: Reader) {
  const before = openFiles(), peak = peakMemory(), begin = performance.now();
  requests.reset();
  let outcome: Result["outcome"] = "loaded", failure: string | undefined;
  try {
    await reader.read(folder);
  } catch (error) {
    outcome = "refused";
    failure = problemWith(error);
  }
  const ms = performance.now() - begin;
  return {
    outcome,
    failure,
    ms,
    memory: Math.max(peak(), requests.largest()),
    handles: openFiles() - before,
  };
}

function problemWith(error: unknown): string | undefined {
  if (!(error instanceof UserError)) return String((error as Error)?.stack ?? error).slice(0, 1500);
  if (error.message.length <= LONGEST_MESSAGE) return undefined;
  return `a message of ${error.message.length} characters: ${error.message.slice(0, 200)}`;
}

/** The folder holds these files and no others. */
async function put(files: Files): Promise<void> {
  for (const { name } of Deno.readDirSync(folder)) {
    if (!files.has(name)) await Deno.remove(join(folder, name));
  }
  for (const [name, bytes] of files) await Deno.writeFile(join(folder, name), bytes);
}

function say(line: Result | "ready"): void {
  const bytes = new TextEncoder().encode(`@${JSON.stringify(line)}\n`);
  for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
}

declare const gc: (() => void) | undefined;
