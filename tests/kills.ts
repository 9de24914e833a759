// Kills a run (kills_child.ts) again and again with SIGKILL, lets it go on, and compares what it comes to, bit for bit, with the
// run that was never killed.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { seededRandom } from "../lib/data/random.ts";
import { readRunLog } from "../lib/report/run_log.ts";
import { readState } from "../lib/train/checkpoint.ts";
import { referenceFolder } from "./references.ts";

export const PHASES = [
  "load",
  "forward and backward",
  "optimizer",
  "evaluation",
  "between steps",
  "save: write temporary files",
  "save: fsync",
  "save: rename",
  "save: prune",
  "after the run",
];

/** When to kill: after so many milliseconds, counted from the start or from the nth time that a phase begins. */
type Aim = { delay: number; phase?: string; nth: number };

interface Outcome {
  /** The phase that it was in when it was killed; undefined: it had ended before. */
  phase?: string;
  /** What it said at its end. */
  end?: string;
  milliseconds: number;
}

/** Starts the run, or goes on with it, and kills it. */
async function runChild(out: string, aim?: Aim): Promise<Outcome> {
  const started = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      join(referenceFolder(".."), "kills_child.ts"),
      out,
      ...(aim ? ["--slow"] : []),
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  let timer: ReturnType<typeof setTimeout> | undefined, seen = 0;
  const killLater = () => {
    timer ??= setTimeout(() => {
      try {
        child.kill("SIGKILL");
      } catch { /* it has just ended */ }
    }, aim!.delay);
  };
  if (aim && aim.phase === undefined) killLater();
  const lines: string[] = [];
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const pieces = (rest + text).split("\n");
    rest = pieces.pop()!;
    for (const line of pieces) {
      lines.push(line);
      if (aim?.phase === line && ++seen === aim.nth) killLater();
    }
  }
  const { signal, code } = await child.status;
  clearTimeout(timer);
  const milliseconds = performance.now() - started, last = lines.at(-1) ?? "load";
  if (signal === "SIGKILL" && !last.startsWith("end ")) {
    await errors;
    return { phase: last, milliseconds };
  }
  if (signal !== "SIGKILL") assert.equal(code, 0, await errors);
  return { end: last, milliseconds };
}

/** Whatever bears a checkpoint's name is whole, at any moment. */
async function assertWhole(out: string): Promise<void> {
  const entries = await Array.fromAsync(Deno.readDir(out));
  for (const { name } of entries.filter(({ name }) => name.startsWith("checkpoint-"))) {
    const files = Array.from(Deno.readDirSync(join(out, name)), ({ name }) => name).sort();
    assert.deepEqual(files, [
      "adapter_config.json",
      "adapter_model.safetensors",
      "optimizer.safetensors",
      "training_state.json",
    ], name);
    assert.equal(`checkpoint-${(await readState(join(out, name))).step}`, name);
  }
}

/** Everything that a run leaves behind: names, bits of all tensors, states, and the log without times. */
async function leftBehind(out: string): Promise<Record<string, unknown>> {
  const result: Record<string, unknown> = {};
  for (const { name, isDirectory } of Deno.readDirSync(out)) {
    if (!isDirectory) continue;
    for (const { name: file } of Deno.readDirSync(join(out, name))) {
      const bytes = await Deno.readFile(join(out, name, file));
      result[`${name}/${file}`] = file.endsWith(".safetensors")
        ? new Uint32Array(bytes.buffer, 0, bytes.length >> 2)
        : new TextDecoder().decode(bytes);
    }
  }
  const told = (await readRunLog(join(out, "log.jsonl"))).filter(({ kind }) =>
    kind === "step" || kind === "evaluation"
  );
  result.log = told.map(({ time: _time, tokensPerSecond: _rate, memory: _memory, ...entry }) => entry);
  return result;
}

/** What {@linkcode killRuns} did. */
export interface KillReport {
  /** Kills by the phase that they hit. */
  histogram: Map<string, number>;
  /** Runs that were killed, each until it came to its end. */
  runs: number;
  /** Most kills of one run. */
  mostOfOneRun: number;
  /** Kills of a process that had gone on from a checkpoint. */
  resumed: number;
}

/**
 * Kills so many times: by turns at a random millisecond of the run's length, and some milliseconds after one of the phases that
 * were hit least has begun.
 */
export async function killRuns(
  kills: number,
  seed: number,
  tell: (line: string) => void = () => {},
): Promise<KillReport> {
  const folder = await Deno.makeTempDir({ prefix: "kills" }), random = seededRandom(seed);
  const histogram = new Map(PHASES.map((phase) => [phase, 0]));
  const report = { histogram, runs: 0, mostOfOneRun: 0, resumed: 0 };
  const whole = join(folder, "whole"), { milliseconds, end } = await runChild(whole);
  const expected = await leftBehind(whole);
  tell(`never killed: ${end} in ${Math.round(milliseconds)} ms`);
  const aimAt = (i: number): Aim => {
    if (i % 2 === 0) return { delay: random() * milliseconds * 1.5, nth: 1 };
    const rare = PHASES.toSorted((a, b) => histogram.get(a)! - histogram.get(b)!).slice(0, 4);
    const phase = rare[Math.floor(random() * rare.length)];
    return {
      phase,
      nth: phase === "after the run" || phase === "load" ? 1 : 1 + Math.floor(random() * 4),
      delay: random() * 6,
    };
  };
  try {
    for (let done = 0; done < kills;) {
      const out = join(folder, `run-${++report.runs}`);
      await Deno.mkdir(out);
      let here = 0, outcome: Outcome;
      do {
        const resumed = here > 0 &&
          Array.from(Deno.readDirSync(out)).some(({ name }) => name.startsWith("checkpoint"));
        outcome = await runChild(out, done < kills ? aimAt(done) : undefined);
        await assertWhole(out);
        if (outcome.phase === undefined) continue;
        histogram.set(outcome.phase, (histogram.get(outcome.phase) ?? 0) + 1);
        if (resumed) report.resumed++;
        done++, here++;
        tell(`${done}: run ${report.runs}, kill ${here}, ${outcome.phase}`);
      } while (outcome.phase !== undefined);
      report.mostOfOneRun = Math.max(report.mostOfOneRun, here);
      assert.deepEqual(outcome.end, end);
      assert.deepEqual(await leftBehind(out), expected, `run ${report.runs} after ${here} kills`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return report;
}

if (import.meta.main) {
  const kills = Number(Deno.args[0] ?? 100), seed = Number(Deno.args[1] ?? 1);
  const { histogram, runs, mostOfOneRun, resumed } = await killRuns(kills, seed, console.log);
  console.log(
    `\n${kills} kills of ${runs} runs (at most ${mostOfOneRun} of one, ${resumed} of a process that had gone on`,
  );
  console.log(
    "from a checkpoint): weights, moments, states and logs are those of the run that was never killed.\n",
  );
  for (const [phase, count] of histogram) {
    console.log(`${phase.padEnd(28)} ${String(count).padStart(3)} ${"█".repeat(count)}`);
  }
  for (const [phase, count] of histogram) {
    if (kills >= 100 && phase.startsWith("save")) {
      assert.ok(count >= 5, `${phase} was hit ${count} times only`);
    }
  }
}
