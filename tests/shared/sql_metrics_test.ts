// sql-create-context's first 4,000 rows: how many can be run, every query against itself, and the control on real queries.
import assert from "node:assert/strict";
import { loadDataset } from "../../lib/data/load.ts";
import { sqlRows } from "../../lib/metrics/sql.ts";
import { normalizeSQL } from "../../lib/metrics/sql_normal.ts";
import { parseQuery } from "../../lib/metrics/sql_tree.ts";
import { changedQueries, sqlControls, type SQLGold } from "../mutations/sql.ts";

const SHARED = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
const gold = [
  ...await loadDataset(`${SHARED}/data/sql/sql_create_context_first4000.jsonl`),
] as unknown as SQLGold[];

Deno.test("3,829 of 4,000 real queries run on the tables made for them, and each is right against itself", async () => {
  const answers = gold.map(({ answer }) => answer);
  const rows = await sqlRows(answers, answers, gold.map(({ context }) => context));
  const parsed = await Promise.all(answers.map(parseQuery));
  const count = (of: (row: typeof rows[number]) => boolean) => rows.filter(of).length;
  const usable = count(({ referenceRuns }) => referenceRuns), informative = count((row) => row.informative);
  console.log(
    `${usable} of ${rows.length} run, ${informative} find rows, ${parsed.filter(Boolean).length} parse`,
  );
  // The others name a column that no table of theirs has, or that two have.
  assert.deepEqual([usable, informative, parsed.filter(Boolean).length], [3829, 3806, 3999]);
  for (const { referenceRuns, reason } of rows) {
    assert.ok(referenceRuns || /^expected query failed: /.test(reason!), reason ?? "");
  }
  assert.equal(count(({ exact, normalized }) => exact && normalized), rows.length);
  assert.equal(count(({ execution, sameOrdered }) => execution && sameOrdered), usable);
});

Deno.test("one change in each of 200 real queries is noticed nine times in ten", async () => {
  const some = gold.filter((_, i) => i % 15 === 0);
  for (const { score, items, survivors } of await sqlControls(some, "sql-create-context")) {
    console.log(`${score}: ${items - survivors.length} of ${items} are scored wrong`);
    assert.equal(items, 200);
    assert.ok(survivors.length <= items / 10, survivors.join("\n"));
  }
});

Deno.test("the form of a real query stays when it is written otherwise, and not when it is changed", async () => {
  const some = gold.filter((_, i) => i % 4 === 0);
  for (const { answer } of some) {
    assert.equal(await normalizeSQL(respelt(answer)), await normalizeSQL(answer), respelt(answer));
  }
  for (const { gold, changed } of changedQueries(some, 9000)) {
    assert.notEqual(await normalizeSQL(changed), await normalizeSQL(gold), changed);
  }
});

/** Capitals, no AS before a table's alias, the sides of = and <> changed. */
function respelt(query: string): string {
  return query.replace(/'[^']*'|"[^"]*"|\w+/g, (word) => /^['"]/.test(word) ? word : word.toUpperCase())
    .replace(/ AS (T\d)\b/g, " $1")
    .replaceAll(/\b([\w.]+) (=|<>) ('[^']*'|"[^"]*"|\d+(?:\.\d+)?)/g, "$3 $2 $1");
}
