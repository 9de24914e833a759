// The threads of a program: the caller and Workers that run functions of one WebAssembly module over one shared memory, in step.
import { Worker } from "node:worker_threads";
import { atomics, func, get, I32, i32, int, loop, set, tee, type WasmFunction, when } from "./assembler.ts";

/**
 * Where the memory's first numbers are, in bytes: runs so far, arrivals at barriers, who sleeps there, whether one gave up, and
 * which team it is.
 */
const RUNS = 0, ARRIVED = 64, SLEEPING = 128, FAILED = 192, TEAM = 196;
/** Memory from here on is the program's own. */
export const TEAM_BYTES = 256;

/** A barrier turns so often before it lets others have the core: 30 us or so, many times what it takes when all have one. */
const turns = 10_000;
/** Who sleeps there is woken, or looks again after so many nanoseconds. */
const nap = 100_000_000;

/**
 * `barrier(arrivals)`: goes on when so many have come since the team began (modulo 2^32). So many naps without being woken
 * mean that a thread died.
 */
export const barrier = (naps: number = 100): WasmFunction =>
  func("barrier", 1, (local, arrivals) => {
    const seen = local(I32), turn = local(I32);
    const missing = i32.ltS(i32.sub(tee(seen, atomics.load(int(ARRIVED))), get(arrivals)), int(0));
    return [
      atomics.add(int(ARRIVED), int(1)),
      when(atomics.load(int(SLEEPING)), atomics.notify(int(ARRIVED))),
      loop(
        set(turn, i32.add(get(turn), int(1))),
        when(i32.and(i32.gtS(get(turn), int(turns)), missing), [
          atomics.add(int(SLEEPING), int(1)),
          atomics.wait(int(ARRIVED), get(seen), nap),
          atomics.add(int(SLEEPING), int(-1)),
        ]),
        when(i32.gtS(get(turn), int(turns + naps)), atomics.store(int(FAILED), int(1))),
        i32.and(missing, i32.eq(atomics.load(int(FAILED)), int(0))),
      ),
    ];
  });

export interface Team {
  /**
   * Runs the functions `step0(arrived)`, `step1(arrived)`, ... each on a thread of its own, with the arrivals of earlier runs.
   * An exception where one of them never came.
   */
  run(): void;
  close(): void;
}

/** Of a worker: it sleeps between runs, after it has looked about for a while. Must stand alone: it is sent as text. */
function work({ module, memory, name, runsAt, teamAt, team, arrivals, patience }: Task): void {
  const step = new WebAssembly.Instance(module, { js: { memory } }).exports[name] as (
    arrived: number,
  ) => void;
  const runs = new Int32Array(memory.buffer, runsAt, 1), teams = new Int32Array(memory.buffer, teamAt, 1);
  let seen = 0;
  while (true) {
    for (let turn = 0; Atomics.load(runs, 0) === seen; turn++) {
      if (turn > patience) Atomics.wait(runs, 0, seen);
    }
    const run = Atomics.load(runs, 0);
    if (run < 0 || Atomics.load(teams, 0) !== team) return; // the next team's runs are none of its business
    seen = run;
    step(Math.imul(run - 1, arrivals));
  }
}

interface Task {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly name: string;
  readonly runsAt: number;
  readonly teamAt: number;
  readonly team: number;
  /** At barriers in one run. */
  readonly arrivals: number;
  readonly patience: number;
}

const workerText = `const { workerData } = require("node:worker_threads"); (${work})(workerData);`;

/** Starts the other threads; they do not keep the process alive. */
export function openTeam(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  { threads, arrivals }: { threads: number; arrivals: number },
): Team {
  const view = new Int32Array(memory.buffer, 0, TEAM_BYTES / 4);
  const team = Atomics.add(view, TEAM / 4, 1) + 1;
  // Who sleeps counts himself out.
  for (const at of [ARRIVED, FAILED, RUNS]) Atomics.store(view, at / 4, 0);
  const step = new WebAssembly.Instance(module, { js: { memory } }).exports.step0 as (
    arrived: number,
  ) => void;
  const workers = Array.from({ length: threads - 1 }, (_, i) => {
    const places = { runsAt: RUNS, teamAt: TEAM, team };
    const task: Task = { module, memory, name: `step${i + 1}`, ...places, arrivals, patience: 20_000 };
    const worker = new Worker(workerText, { eval: true, workerData: task });
    worker.on("error", () => Atomics.store(view, FAILED / 4, 1));
    worker.unref();
    return worker;
  });
  let runs = 0;
  const wake = (run: number) => {
    Atomics.store(view, RUNS / 4, run);
    Atomics.notify(view, RUNS / 4);
  };
  return {
    run() {
      if (runs < 0) throw new Error("The program is closed.");
      wake(++runs);
      step(Math.imul(runs - 1, arrivals));
      if (Atomics.load(view, FAILED / 4) !== 0) throw new Error("A thread of the program has died.");
    },
    close() {
      runs = -1;
      wake(-1);
      for (const worker of workers) void worker.terminate();
    },
  };
}
