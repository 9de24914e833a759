// Progress lines, tables, formats and memory: exact texts, from a clock and an output of the tests' own.
import assert from "node:assert/strict";
import { join } from "@std/path";
import type { Model } from "../lib/models/model.ts";
import { formatBytes, formatDuration, formatNumber } from "../lib/report/format.ts";
import { processMemory } from "../lib/report/memory.ts";
import { type ProgressLine, progressLine } from "../lib/report/progress.ts";
import { markdownTable } from "../lib/report/table.ts";
import { createMeter, type Meter, type PendingStep, type StepReport } from "../lib/train/optimizer_step.ts";

/** A progress line on a recorded output; memory, which differs from run to run, is written as "M". */
function recorded(isTerminal: boolean, options: { total: number; quiet?: boolean; columns?: number }) {
  const written: string[] = [], clock = { ms: 0 };
  const write = (text: string) => void written.push(text.replace(/[\d.]+ [kMG]B/, "M"));
  const line: ProgressLine = progressLine({
    ...options,
    label: "training",
    output: { isTerminal, columns: options.columns, write },
    now: () => clock.ms,
  });
  return { written, clock, line };
}

Deno.test("plain lines: the first step, every five seconds, and the end", () => {
  const { written, clock, line } = recorded(false, { total: 1000 });
  for (let step = 1; step <= 7; step++) {
    clock.ms += 2000;
    line.update({ step, loss: 4 / step, tokensPerSecond: 1234.5, learningRate: 2e-4, missing: undefined });
  }
  line.finish();
  line.finish();
  assert.deepEqual(written, [
    "training 1/1,000 · loss 4.0000 · 1,235 tokens/s · M · learningRate 2e-4\n",
    "training 4/1,000 · 33 min 12 s left · loss 1.0000 · 1,235 tokens/s · M · learningRate 2e-4\n",
    "training 7/1,000 · 33 min 06 s left · loss 0.5714 · 1,235 tokens/s · M · learningRate 2e-4\n",
    "training 7/1,000 · in 14 s · loss 0.5714 · 1,235 tokens/s · M · learningRate 2e-4\n",
  ]);
});

Deno.test("a terminal's line is written over, at most ten times a second, and cut to the window", () => {
  const { written, clock, line } = recorded(true, { total: 10, columns: 40 });
  for (let step = 1; step <= 10; step++) {
    clock.ms += 60;
    line.update({ step, loss: 2 });
  }
  line.finish();
  assert.deepEqual(written, [
    "\rtraining █░░░░░░░░░ 1/10 · loss 2.0000…\x1b[K",
    "\rtraining ███░░░░░░░ 3/10 · 420 ms left…\x1b[K",
    "\rtraining █████░░░░░ 5/10 · 300 ms left…\x1b[K",
    "\rtraining ███████░░░ 7/10 · 180 ms left…\x1b[K",
    "\rtraining █████████░ 9/10 · 60 ms left …\x1b[K",
    "\rtraining ██████████ 10/10 · in 600 ms …\x1b[K\n",
  ]);
});

Deno.test("the time of the first step, which compiles, is left out of the time left", () => {
  const { written, clock, line } = recorded(false, { total: 101 });
  clock.ms = 60_000;
  line.update({ step: 1 });
  clock.ms = 70_000;
  line.update({ step: 11 });
  assert.equal(written[1], "training 11/101 · 1 min 30 s left · M\n");
});

Deno.test("a quiet line and one without steps write nothing", () => {
  const quiet = recorded(true, { total: 2, quiet: true }), unused = recorded(false, { total: 2 });
  quiet.line.update({ step: 1, loss: 1 });
  quiet.line.finish();
  unused.line.finish();
  assert.deepEqual([...quiet.written, ...unused.written], []);
});

Deno.test("numbers, bytes and durations", () => {
  const numbers = [0, 7, 1234567, 1234.5, 999.96, 0.123456, -2.5, 0.00012345, 2e-4, NaN, -Infinity];
  assert.deepEqual(
    numbers.map(formatNumber),
    ["0", "7", "1,234,567", "1,235", "1,000", "0.1235", "-2.5", "1.234e-4", "2e-4", "NaN", "-Infinity"],
  );
  const sizes = [0, 999, 999.6, 1000, 123456, 999_499, 999_500, 6.912e9, 2e18, NaN];
  assert.deepEqual(
    sizes.map(formatBytes),
    ["0 B", "999 B", "1 kB", "1 kB", "123 kB", "999 kB", "1 MB", "6.91 GB", "2000 PB", "NaN"],
  );
  const times = [0, 0.0004, 0.25, 1, 9.94, 9.96, 59.4, 59.6, 200, 3599.6, 7500, 86_399, 100_000, Infinity];
  assert.deepEqual(times.map(formatDuration), [
    ...["0 ms", "0 ms", "250 ms", "1.0 s", "9.9 s", "10 s", "59 s", "1 min 00 s", "3 min 20 s"],
    ...["1 h 00 min", "2 h 05 min", "1 d 00 h", "1 d 04 h", "?"],
  ]);
});

Deno.test("a table aligns its columns, keeps fractions' digits, and escapes", () => {
  const rows = [
    { run: "base", loss: 2.5, rate: 2e-5, tokens: 1234567, note: "a|b\nc" },
    { run: "tuned", loss: 1234.56789, rate: 0.1, tokens: null },
  ];
  assert.equal(
    markdownTable(rows),
    [
      "| run   |       loss | rate |    tokens | note      |",
      "| ----- | ---------: | ---: | --------: | --------- |",
      "| base  |     2.5000 | 2e-5 | 1,234,567 | a\\|b<br>c |",
      "| tuned | 1,234.5679 |  0.1 |           |           |",
    ].join("\n"),
  );
  assert.equal(
    markdownTable(rows, { columns: ["loss"], digits: 1 }),
    "|    loss |\n| ------: |\n|     2.5 |\n| 1,234.6 |",
  );
  assert.equal(markdownTable([], { columns: ["run"] }), "| run |\n| --- |");
  assert.equal(markdownTable([]), "");
});

Deno.test("memory counts what is touched, and its peak does not fall", () => {
  const before = processMemory();
  const block = new Uint8Array(64e6).fill(1);
  const held = processMemory();
  assert.equal(block[63e6], 1);
  assert.ok(held.rss - before.rss > 50e6 && held.rss - before.rss < 500e6, `${held.rss - before.rss}`);
  assert.ok(held.peak >= held.rss && processMemory().peak >= held.peak);
});

Deno.test({
  name: "memory is what Linux says of the process: VmRSS, and VmHWM as its peak",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const script = `
      import { processMemory } from "./lib/report/memory.ts";
      let block = new Uint8Array(200e6).fill(1);
      block = new Uint8Array(1);
      const { rss, peak } = processMemory();
      const status = Deno.readTextFileSync("/proc/self/status");
      const of = (name) => Number(status.match(name + ":\\\\s+(\\\\d+) kB")[1]) * 1024;
      console.log(JSON.stringify({ rss, peak, VmRSS: of("VmRSS"), VmHWM: of("VmHWM") }));`;
    const args = ["eval", "--ext=ts", script], cwd = join(import.meta.dirname!, "..");
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd }).output();
    assert.ok(stdout.length > 0, new TextDecoder().decode(stderr));
    const { rss, peak, VmRSS, VmHWM } = JSON.parse(new TextDecoder().decode(stdout));
    assert.ok(Math.abs(rss - VmRSS) < 4e6, `${rss} and ${VmRSS}`);
    // A process of a larger parent starts with the parent's mark, which is not its own.
    assert.ok(Math.abs(peak - VmHWM) < 4e6 || peak < VmHWM, `${peak} and ${VmHWM}`);
    assert.ok(peak > 200e6);
  },
});

/** A meter on a clock of its own; what it shows and reports. On a GPU the reading of a step's results waits two seconds for it. */
function metered(backend: "cpu" | "webgpu") {
  const clock = { ms: 0 }, shown: number[] = [], reports: StepReport[] = [];
  const device = {
    backend,
    read(...tensors: { storage: Float32Array }[]) {
      if (backend === "webgpu") clock.ms += 1000 * tensors.length;
      return Promise.resolve(tensors.map(({ storage }) => storage));
    },
    free() {},
  };
  const line: ProgressLine = {
    update: ({ tokensPerSecond }) => void shown.push(tokensPerSecond!),
    finish() {},
  };
  // Two batches of 60 and 40 real tokens, whatever their padding.
  const step = (step: number) => ({
    step,
    learningRate: 1e-3,
    targets: 4,
    group: [{ tokens: 60, inputIds: { length: 512 } }, { tokens: 40, inputIds: { length: 512 } }],
    loss: { storage: Float32Array.of(8) },
    normSquared: { storage: Float32Array.of(9) },
  } as unknown as PendingStep);
  const run = async (body: (meter: Meter) => Promise<void>) => {
    const real = performance.now;
    performance.now = () => clock.ms;
    try {
      const onStep = (report: StepReport) => void reports.push(report);
      await body(createMeter({ device } as unknown as Model, { line, onStep }));
    } finally {
      performance.now = real;
    }
  };
  return { clock, shown, reports, step, run };
}

Deno.test("tokens a second are real tokens over the time of training: evaluations and saves do not count", async () => {
  const { clock, shown, reports, step, run } = metered("cpu");
  await run(async (meter) => {
    clock.ms = 2000;
    await meter.add(step(1));
    await meter.aside(() => Promise.resolve(void (clock.ms += 60_000)));
    clock.ms += 2000;
    await meter.add(step(2));
    clock.ms += 6000;
    await meter.add(step(3));
    assert.deepEqual(shown, [50, 50, 30]);
    assert.deepEqual([meter.tokensPerSecond(), meter.seconds()], [30, 10]);
    const expected = { loss: 2, gradNorm: 3, learningRate: 1e-3, tokens: 100 };
    assert.deepEqual(reports[2], { step: 3, ...expected });
  });
});

Deno.test("on a GPU too: steps that are read together have one rate, those that an evaluation waits for count", async () => {
  const { clock, shown, step, run } = metered("webgpu");
  await run(async (meter) => {
    for (let i = 1; i <= 8; i++) await meter.add(step(i));
    assert.deepEqual(shown.splice(0), Array(8).fill(50), "100 tokens in two seconds, from the first step on");
    await meter.add(step(9));
    await meter.aside(() => Promise.resolve(void (clock.ms += 60_000)));
    assert.deepEqual([shown, meter.seconds()], [[50], 18]);
  });
});

Deno.test("what an update leaves out stays on the line", () => {
  const { written, clock, line } = recorded(false, { total: 10 });
  line.update({ step: 1, loss: 2, tokensPerSecond: 10 });
  clock.ms = 6000;
  line.update({ step: 2, "held-out loss": "1.5000" });
  assert.equal(
    written[1],
    "training 2/10 · 48 s left · loss 2.0000 · 10 tokens/s · M · held-out loss 1.5000\n",
  );
});
