// Feeds mutated files to the readers and counts what comes of them; any end but a result or a UserError fails.
//   deno task test:fuzz [--inputs=12000] [--seed=1] [--reader=csv,json] [--only=123 [--keep=FOLDER]]
import { runJobs } from "./children.ts";
import { readerNamed, SHARES } from "./readers.ts";
import { makeInput } from "./input.ts";
import { counter, tallyTable } from "./tally.ts";

const options = Object.fromEntries(Deno.args.map((argument) => argument.replace(/^--/, "").split("=")));
const seed = Number(options.seed ?? 1), inputs = Number(options.inputs ?? 12_000);
const readers = options.reader?.split(",") ?? Object.keys(SHARES);
const all = readers.reduce((sum: number, name: string) => sum + SHARES[name], 0);
const jobs = readers.map((reader: string) => {
  const only = options.only === undefined ? undefined : Number(options.only);
  return {
    reader,
    from: only ?? 0,
    to: only !== undefined ? only + 1 : Math.ceil(inputs * SHARES[reader] / all),
  };
});

console.log(`seed ${seed}; "past the outer parse" means:`);
for (const name of readers) console.log(`  ${name}: ${(await readerNamed(name)).outer}`);
if (options.keep) await keep(options.keep);
const count = counter(), begin = Date.now();
await runJobs(jobs, seed, (result) => {
  count.add(result);
  if (result.outcome === "failure") {
    console.log(
      `FAILURE --reader=${result.reader} --seed=${seed} --only=${result.number}: ${result.problem}`,
    );
  } else if (options.only !== undefined) console.log(JSON.stringify(result));
});
const { passed, inputs: done, failures } = count.total();
console.log(`\n${tallyTable(count)}`);
console.log(
  `${done} inputs in ${Math.round((Date.now() - begin) / 1000)} s; ${passed} got past the outer parse`,
);
if (failures.length > 0 || passed < done / 2) Deno.exit(1);

/** Writes the one input into a folder, to be looked at. */
async function keep(folder: string): Promise<void> {
  const reader = await readerNamed(readers[0]);
  const files = await makeInput(reader, await reader.seeds(), seed, jobs[0].from);
  await Deno.mkdir(folder, { recursive: true });
  for (const [name, bytes] of files) await Deno.writeFile(`${folder}/${name}`, bytes);
}
