// Ctrl-C, SIGTERM and a second Ctrl-C, sent to real processes.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { readState } from "../lib/train/checkpoint.ts";
import { openDevice } from "../lib/engine/open.ts";
import { bits, checkpoints, inFolder, loadBase, run, start } from "./runs.ts";

interface Ended {
  lines: string[];
  said: string;
  code: number;
  signal: Deno.Signal | null;
  /** From the last signal to the end. */
  milliseconds: number;
}

/** Starts the child and sends each signal when the child has written a line that fits. */
async function signalled(
  out: string,
  how: string,
  signals: [line: RegExp, signal: Deno.Signal][],
): Promise<Ended> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", join(import.meta.dirname!, "signal_child.ts"), out, how],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const said = new Response(child.stderr).text(), lines: string[] = [], left = [...signals];
  let rest = "", sent = 0;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const pieces = (rest + text).split("\n");
    rest = pieces.pop()!;
    for (const line of pieces) {
      lines.push(line);
      if (!left[0]?.[0].test(line)) continue;
      child.kill(left.shift()![1]);
      sent = performance.now();
    }
  }
  const { code, signal } = await child.status;
  return { lines, said: await said, code, signal, milliseconds: performance.now() - sent };
}

const test = (name: string, body: (out: string) => Promise<void>) =>
  Deno.test({
    name,
    ignore: Deno.build.os === "windows",
    fn: () => inFolder((folder) => body(join(folder, "out"))),
  });

for (const signal of ["SIGINT", "SIGTERM"] as Deno.Signal[]) {
  test(`${signal} finishes the step, saves, and says how to go on`, async (out) => {
    const { lines, said, code, milliseconds, ...ended } = await signalled(out, "run", [[/^step 5$/, signal]]);
    assert.deepEqual([code, ended.signal], [0, null], said);
    const report = JSON.parse(lines.at(-1)!), { steps, stopped, checkpoint } = report;
    assert.deepEqual([stopped, checkpoint], ["signal", join(out, `checkpoint-${steps}`)]);
    assert.ok(steps >= 5 && lines.at(-2) === `step ${steps}`, "the step in hand is the last");
    assert.deepEqual(checkpoints(out), [`checkpoint-${steps}`]);
    assert.equal(report.others, signal === "SIGINT" ? 1 : 0, "a listener of the program's own hears it too");
    assert.match(said, /\nStopping after this step; once more leaves at once\.\n/);
    assert.ok(
      said.includes(
        `Stopped after step ${steps}, saved in ${checkpoint}: the same call with resume: true goes on`,
      ),
    );
    assert.ok(milliseconds < 5000);
    console.log(`${signal}: from the signal to the end ${Math.round(milliseconds)} ms`);
    if (signal === "SIGTERM") return;
    const base = await loadBase(await openDevice({ backend: "cpu", threads: 1 }));
    const whole = start(base), second = start(base), maxSteps = steps + 3;
    await run(whole, { maxSteps });
    await run(second, { out, maxSteps, resume: true });
    assert.deepEqual(await bits(second), await bits(whole));
  });
}

test("a second Ctrl-C leaves at once, even while native code computes", async (out) => {
  const first = await signalled(out, "run", [[/^step 3$/, "SIGTERM"]]), before = checkpoints(out);
  assert.equal(first.code, 0);
  const { signal, milliseconds, lines } = await signalled(out, "block", [[/^step/, "SIGINT"], [
    /^blocked$/,
    "SIGINT",
  ]]);
  assert.deepEqual([signal, lines.at(-1)], ["SIGINT", "blocked"]);
  assert.ok(milliseconds < 2000, `${milliseconds} ms`);
  assert.deepEqual(checkpoints(out), before, "nothing is lost since the last save");
  const step = Number(before[0].split("-")[1]);
  assert.equal((await readState(join(out, before[0]))).step, step);
});

test("after the run no listener remains: a signal ends the process as ever", async (out) => {
  const { signal, lines, milliseconds } = await signalled(out, "leave", [[/^\{/, "SIGINT"]]);
  assert.deepEqual([signal, JSON.parse(lines.at(-1)!).stopped], ["SIGINT", "done"]);
  assert.ok(milliseconds < 2000);
});
