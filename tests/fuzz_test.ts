// A slice of the fuzzing; the whole is `deno task test:fuzz`.
import assert from "node:assert/strict";
import { runJobs } from "./fuzz/children.ts";
import { SHARES } from "./fuzz/readers.ts";
import { counter, tallyTable } from "./fuzz/tally.ts";

Deno.test("some 900 damaged files end in a result or a UserError", async () => {
  const jobs = Object.entries(SHARES).map(([reader, share]) => ({ reader, from: 0, to: 8 * share }));
  const count = counter(), seed = 7;
  await runJobs(jobs, seed, count.add);
  const { inputs, passed, failures } = count.total();
  console.log(tallyTable(count));
  const first = failures[0];
  const again = first && `deno task test:fuzz --reader=${first.reader} --seed=${seed} --only=${first.number}`;
  assert.equal(failures.length, 0, `${again}: ${first?.problem}`);
  assert.ok(passed > inputs / 2, `${passed} of ${inputs} get past the outer parse`);
});
