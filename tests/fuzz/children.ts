// Runs inputs in child processes: a crash, a hang or a heap beyond its limit ends a child, is written down, and the next one
// goes on behind that input.
import type { Result } from "./result.ts";

/** Longest time that one input may take, in milliseconds; it is hundreds of times what the slowest takes on an idle machine. */
const LONGEST = 15_000;
/** V8's heap, in MB: an input that needs more kills the child. */
const HEAP = 256;

/** Inputs from..to-1 of a reader. */
export interface Job {
  reader: string;
  from: number;
  to: number;
}

/** Runs all jobs, one after another, and hands on what became of each input. */
export async function runJobs(jobs: Job[], seed: number, each: (result: Result) => void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "fuzz-" });
  try {
    let left = jobs;
    while (left.length > 0) left = await runChild(left, seed, folder, each);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs one child until it is done or dies; gives back what is left to do. */
async function runChild(
  jobs: Job[],
  seed: number,
  folder: string,
  each: (result: Result) => void,
): Promise<Job[]> {
  const flags = `--expose-gc,--max-semi-space-size=2,--max-old-space-size=${HEAP}`;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", `--v8-flags=${flags}`, new URL("child.ts", import.meta.url).pathname],
      ...[String(seed), folder, ...jobs.map(({ reader, from, to }) => `${reader}:${from}:${to}`)],
    ],
    env: { FINTUNE_BACKEND: "cpu" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const complaints = new Response(child.stderr).text();
  const left = jobs.map((job) => ({ ...job }));
  let hung = false, ready = false;
  let timer = setTimeout(() => {}, 0);
  const watch = (ms: number, begin = cpuTime(child.pid), waits = 0) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      // A busy machine may leave the child no time: what counts is what it worked, or ten times the limit without an end.
      if (cpuTime(child.pid) - begin < ms * 0.8 && waits < 10) return watch(ms, begin, waits + 1);
      hung = true;
      child.kill("SIGKILL");
    }, ms);
  };
  watch(4 * LONGEST); // the first one waits for the modules to load
  for await (const result of resultsOf(child.stdout)) {
    watch(LONGEST);
    ready = true;
    if (result === "ready") continue;
    each(result);
    left[0].from = result.number + 1;
    if (left[0].from === left[0].to) {
      left.shift();
      watch(4 * LONGEST); // the next reader's modules and seeds
    }
  }
  clearTimeout(timer);
  const { code, signal } = await child.status, stderr = await complaints;
  if (left.length === 0) return [];
  if (!ready) {
    throw new Error(`the child did not begin with ${left[0].reader}:\n${stderr.slice(-3000)}`);
  }
  const { reader, from: number } = left[0];
  const problem = hung
    ? `a hang: no end within ${LONGEST / 1000} s`
    : `a crash (${signal ?? code}): ${
      /JavaScript heap out of memory/.exec(stderr)?.[0] ?? stderr.slice(-1500)
    }`;
  each({ reader, number, passed: true, outcome: "failure", ms: hung ? LONGEST : 0, memory: 0, problem });
  left[0].from++;
  return left.filter(({ from, to }) => from < to);
}

async function* resultsOf(stdout: ReadableStream<Uint8Array>): AsyncGenerator<Result | "ready"> {
  let rest = "";
  for await (const text of stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (/^@[{"]/.test(line)) yield JSON.parse(line.slice(1));
  }
}

/** Milliseconds that a process has worked ; where the system does not tell, the clock. */
function cpuTime(pid: number): number {
  try {
    const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1].split(" ");
    return 10 * (Number(fields[11]) + Number(fields[12]));
  } catch {
    return Date.now();
  }
}
