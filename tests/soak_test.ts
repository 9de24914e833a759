// The soak's judgement: the line that it fits, and what it calls rising.
import assert from "node:assert/strict";
import { seededRandom } from "../lib/data/random.ts";
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
