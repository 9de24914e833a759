// The log of a run: whole lines after a kill at any moment, resumed runs in the same file, and TensorBoard's format.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { UserError } from "../lib/errors.ts";
import { type LogEntry, openRunLog, readRunLog } from "../lib/report/run_log.ts";

const root = join(import.meta.dirname!, "..");
const step = (step: number, more: Record<string, number | string> = {}): LogEntry => ({
  kind: "step",
  step,
  time: 1.7e9 + step,
  loss: 1 / step,
  ...more,
});
const named = (message: RegExp) => (error: Error) =>
  error instanceof UserError && message.test(error.message);

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("entries come back as they were written, numbers that are not finite too", () =>
  inFolder(async (folder) => {
    const path = join(folder, "log.jsonl");
    const log = await openRunLog(path);
    const entries: LogEntry[] = [
      { kind: "start", step: 0, time: 1, model: "tiny", resumed: false },
      step(1, { loss: NaN, gradNorm: Infinity, low: -Infinity, note: "a\nb", name: "constructor" }),
      { kind: "end", step: 1, time: 3, stopped: "done" },
    ];
    entries.forEach(log.write);
    log.close();
    log.close();
    assert.deepEqual(await readRunLog(path), entries);
    assert.equal((await Deno.readTextFile(path)).split("\n").length, 4);
    await assert.rejects(openRunLog(path), named(/log\.jsonl holds the log of another run: go on/));
  }));

Deno.test("a torn last line is dropped on reading and on reopening, at every byte", () =>
  inFolder(async (folder) => {
    const path = join(folder, "log.jsonl");
    const first = JSON.stringify(step(1)) + "\n", second = JSON.stringify(step(2));
    for (let cut = 0; cut <= second.length; cut++) {
      await Deno.writeTextFile(path, first + second.slice(0, cut));
      const kept = cut === second.length ? [1, 2] : [1];
      assert.deepEqual((await readRunLog(path)).map(({ step }) => step), kept, `cut at ${cut}`);
      const log = await openRunLog(path, { resumeAt: 2 });
      log.write(step(3));
      log.close();
      assert.deepEqual((await readRunLog(path)).map(({ step }) => step), [...kept, 3], `cut at ${cut}`);
    }
  }));

Deno.test("a resumed run drops later entries and writes no step twice", () =>
  inFolder(async (folder) => {
    const path = join(folder, "log.jsonl");
    const evaluation = (step: number): LogEntry => ({ kind: "evaluation", step, time: 1, loss: 2 });
    let log = await openRunLog(path, { resumeAt: 0 });
    [step(1), step(2), evaluation(2), step(3), evaluation(3), step(4)].forEach(log.write);
    log.close();
    log = await openRunLog(path, { resumeAt: 2 });
    log.write({ kind: "resume", step: 2, time: 9 });
    [evaluation(2), step(3), evaluation(3)].forEach(log.write);
    log.close();
    assert.deepEqual(
      (await readRunLog(path)).map(({ kind, step }) => `${kind} ${step}`),
      ["step 1", "step 2", "evaluation 2", "resume 2", "step 3", "evaluation 3"],
    );
  }));

Deno.test("a process that is killed while it writes leaves whole lines", () =>
  inFolder(async (folder) => {
    const script = `
      import { openRunLog } from "./lib/report/run_log.ts";
      const log = await openRunLog(Deno.args[0]);
      for (let step = 1;; step++) {
        log.write({ kind: "step", step, time: 1, loss: step / 7, note: "x".repeat(step % 300) });
        if (step === 1) console.log("written");
      }`;
    for (const wait of [20, 40, 70]) {
      const path = join(folder, `${wait}.jsonl`);
      const child = new Deno.Command(Deno.execPath(), {
        args: ["eval", "--ext=ts", script, path],
        cwd: root,
        stdout: "piped",
      }).spawn();
      for await (const _ of child.stdout) break;
      await new Promise((done) => setTimeout(done, wait));
      child.kill("SIGKILL");
      await child.status;
      const text = await Deno.readTextFile(path);
      assert.ok(text.endsWith("\n"));
      const steps = text.trimEnd().split("\n").map((line) => JSON.parse(line).step);
      assert.ok(steps.length > 0);
      assert.deepEqual(steps, Array.from(steps, (_, i) => i + 1));
    }
  }));

Deno.test("lines that are no entries are named", () =>
  inFolder(async (folder) => {
    const path = join(folder, "log.jsonl");
    const bad = [
      "nonsense",
      "[1]",
      "null",
      '{"kind":"step"}',
      '{"kind":"other","step":1,"time":1}',
      '{"kind":"step","step":-1,"time":1}',
      '{"kind":"step","step":1.5,"time":1}',
      '{"kind":"step","step":1,"time":"soon"}',
      '{"kind":"step","step":1,"time":1,"more":{}}',
      '{"kind":"step","step":1,"time":1,"loss":["NaN"]}',
    ];
    for (const line of bad) {
      await Deno.writeTextFile(path, `${JSON.stringify(step(1))}\n${line}\n`);
      await assert.rejects(readRunLog(path), named(/log\.jsonl, line 2 is no entry/), line);
      await assert.rejects(openRunLog(path, { resumeAt: 1 }), named(/line 2/));
    }
    await assert.rejects(readRunLog(join(folder, "none.jsonl")), named(/none\.jsonl does not exist/));
    await assert.rejects(openRunLog(join(folder, "no/log.jsonl")), named(/its folder does not exist/));
    await assert.rejects(openRunLog(path, { resumeAt: NaN }), named(/resumeAt is NaN/));
  }));

Deno.test("TensorBoard's records: lengths, checksums and fields, byte for byte", () =>
  inFolder(async (folder) => {
    const log = await openRunLog(join(folder, "log.jsonl"), { tensorBoard: join(folder, "board") });
    log.write({ kind: "start", step: 0, time: 1 });
    log.write({ kind: "step", step: 300, time: 1.5, loss: 0.75, note: "not a curve" });
    log.close();
    const [file] = [...Deno.readDirSync(join(folder, "board"))];
    assert.match(file.name, /^events\.out\.tfevents\.\d{10}\.\d{3}\./);
    const bytes = await Deno.readFile(join(folder, "board", file.name));
    // Records of 40 bytes (the version) and of 49: the second as tensorboard's RecordWriter writes this Event.
    const hex = [...bytes.subarray(40)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    assert.equal(
      hex,
      "2100000000000000017becf609000000000000f83f10ac022a130a110a0a747261696e2f6c6f7373150000403fca6c6ba5",
    );
  }));
