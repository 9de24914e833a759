// Prints what one meaningful change in each of 200 right answers does to each score, and the answers that it does not notice:
// `deno task test:mutations`. With FINTUNE_SHARED's real queries where they are there.
import { loadDataset } from "../../lib/data/load.ts";
import { markdownTable } from "../../lib/report/table.ts";
import type { Control } from "./control.ts";
import { jsonControls } from "./json.ts";
import { labelControls } from "./labels.ts";
import { generatedGold, sqlControls, type SQLGold } from "./sql.ts";
import { textControls } from "./texts.ts";

/** Every score's control. */
export async function allControls(): Promise<Control[]> {
  return [
    ...textControls(),
    ...labelControls(),
    ...await jsonControls(),
    ...await sqlControls(generatedGold(240)),
  ];
}

if (import.meta.main) {
  const controls = await allControls();
  const file = `${Deno.env.get("FINTUNE_SHARED") ?? "../shared"}/data/sql/sql_create_context_first4000.jsonl`;
  const there = await Deno.stat(file).then(() => true, () => false);
  if (there) {
    const rows = await loadDataset(file);
    const some = [...rows].filter((_, i) => i % 15 === 0) as unknown as SQLGold[];
    controls.push(...await sqlControls(some, "sql-create-context"));
  }
  for (const { score, survivors } of controls) {
    if (survivors.length > 0) console.log(`\n${score} does not notice:\n  ${survivors.join("\n  ")}`);
  }
  console.log();
  console.log(markdownTable(controls.map(({ score, items, survivors }) => ({
    score,
    items,
    "scored wrong": items - survivors.length,
    share: `${(100 * (1 - survivors.length / items)).toFixed(1)} %`,
  }))));
}
