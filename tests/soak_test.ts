// The soak's judgement: the line that it fits, and what it calls rising.
import assert from "node:assert/strict";
import { seededRandom } from "../lib/data/random.ts";
import { openDevice } from "../lib/engine/open.ts";
import { add } from "../lib/engine/ops/add.ts";
import { f32, trace } from "../lib/engine/trace.ts";
import { fitLine, rises } from "./soak/slope.ts";

Deno.test("a line through points, with its error", () => {
  // R's lm(c(2, 4, 5, 4, 5) ~ 1:5): slope 0.6, error 0.2828
  const { slope, error, start } = fitLine([[1, 2], [2, 4], [3, 5], [4, 4], [5, 5]]);
  assert.ok(Math.abs(slope - 0.6) < 1e-12 && Math.abs(start - 2.2) < 1e-12);
  assert.ok(Math.abs(error - Math.sqrt(0.08)) < 1e-12);
});

Deno.test("noise is flat, a leak in the noise rises", () => {
  const random = seededRandom(1);
  const samples = (leak: number) =>
    Array.from({ length: 200 }, (_, i) => [i / 12, 250 + leak * i / 12 + 20 * random()] as const);
  assert.equal(rises(fitLine(samples(0)), 1), false);
  assert.equal(rises(fitLine(samples(0.5)), 1), false); // within the bound
  assert.equal(rises(fitLine(samples(3)), 1), true);
});

Deno.test("CPU: a result's memory goes when it is freed, but one that was read stays with its reader", async () => {
  const device = await openDevice({ backend: "cpu", threads: 1 });
  const program = await device.compile(trace({ x: f32("n") }, ({ x }) => ({ twice: add(x, x) })));
  const x = device.upload(Float32Array.of(1, 2, 3), [3], "f32");
  const { twice } = await program.run({ x }), { twice: kept } = await program.run({ x });
  const [values] = await device.read(kept);
  device.free(twice, kept, x);
  assert.equal((twice.storage as Float32Array).length, 0);
  assert.deepEqual([...values], [2, 4, 6]);
  assert.equal((x.storage as Float32Array).length, 3, "what was uploaded is its owner's");
  assert.deepEqual(device.memory().buffers, 0);
  program.close();
});
