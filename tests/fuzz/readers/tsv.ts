// A .tsv file.
import { dataReader } from "../data_reader.ts";
import { isTable, mutateTable, table } from "./csv.ts";

export default dataReader({
  name: "tsv",
  outer: "the first line and some later one hold a tab",
  file: "rows.tsv",
  seeds: [table("\t")],
  mutate: mutateTable,
  passes: (bytes) => isTable(bytes, "\t"),
});
