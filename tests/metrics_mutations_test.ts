// One meaningful change in each of 200 right answers: every score notices at least nine in ten.
import assert from "node:assert/strict";
import { allControls } from "./mutations/run.ts";

Deno.test("every score notices nine in ten changes of right answers", async () => {
  for (const { score, items, survivors } of await allControls()) {
    console.log(`${score}: ${items - survivors.length} of ${items} are scored wrong`);
    assert.equal(items, 200, score);
    assert.ok(survivors.length <= items / 10, `${score} does not notice:\n${survivors.join("\n")}`);
  }
});
