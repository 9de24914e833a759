// The real TensorBoard reads what lib/report/tensorboard.ts wrote: every scalar, its step and its time, and after a resume
// each step once. Run by `deno task test:interop`; FINTUNE_PYTHON names a Python with requirements.txt installed.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { type LogEntry, openRunLog } from "../../lib/report/run_log.ts";

const script = fromFileUrl(new URL("./tensorboard_scalars.py", import.meta.url));
type Scalars = Record<string, [step: number, time: number, value: number | string][]>;

async function readByTensorBoard(folder: string): Promise<Scalars> {
  const command = new Deno.Command(Deno.env.get("FINTUNE_PYTHON") ?? "python3", { args: [script, folder] });
  const { success, stdout, stderr } = await command.output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test("TensorBoard's own reader finds the scalars, and after a resume each step once", async () => {
  const folder = await Deno.makeTempDir(), board = join(folder, "board"), path = join(folder, "log.jsonl");
  const step = (step: number, run: number): LogEntry => ({
    kind: "step",
    step,
    time: 1.7e9 + step / 8,
    loss: run + 3 / step,
    learningRate: 2e-4 / step,
    tokens: 1 + step * 1000,
    note: "text is no curve",
  });
  const steps = (from: number, to: number, run: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => step(from + i, run));

  let log = await openRunLog(path, { tensorBoard: board });
  steps(1, 300, 0).forEach(log.write);
  log.write({ kind: "evaluation", step: 300, time: 1.8e9, loss: NaN });
  log.close();
  log = await openRunLog(path, { tensorBoard: board, resumeAt: 200 });
  steps(201, 400, 1).forEach(log.write);
  log.close();

  const read = await readByTensorBoard(board);
  const expected = [...steps(1, 200, 0), ...steps(201, 400, 1)];
  for (const name of ["loss", "learningRate", "tokens"]) {
    const points = expected.map((entry) => [entry.step, entry.time, Math.fround(entry[name] as number)]);
    assert.deepEqual(read[`train/${name}`], points, name);
  }
  assert.deepEqual(read["validation/loss"], []); // it was of a step that the resumed run repeats
  assert.equal(Object.keys(read).length, 4);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("TensorBoard's own reader finds losses that are not finite", async () => {
  const folder = await Deno.makeTempDir();
  const log = await openRunLog(join(folder, "log.jsonl"), { tensorBoard: folder });
  log.write({ kind: "evaluation", step: 3, time: 5, loss: NaN });
  log.write({ kind: "step", step: 4, time: 6, loss: Infinity });
  log.close();
  const read = await readByTensorBoard(folder);
  assert.deepEqual(read, { "validation/loss": [[3, 5, "NaN"]], "train/loss": [[4, 6, "Infinity"]] });
  await Deno.remove(folder, { recursive: true });
});
