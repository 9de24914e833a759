// A slice of `deno task test:kills`: killed at random moments and gone on with, a run comes to the same bits.
import assert from "node:assert/strict";
import { killRuns } from "./kills.ts";

Deno.test("six kills change no bit of weights, moments, states and logs", async () => {
  const { histogram, resumed } = await killRuns(6, 3);
  assert.equal([...histogram.values()].reduce((sum, count) => sum + count, 0), 6);
  assert.ok(resumed > 0, "some had gone on from a checkpoint");
});
