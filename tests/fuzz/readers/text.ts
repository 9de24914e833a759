// A .txt file in paragraphs.
import { dataReader, ROWS } from "../data_reader.ts";
import { mutateBytes } from "../mutate_bytes.ts";

export default dataReader({
  name: "text",
  outer: "the file is not empty",
  file: "rows.txt",
  options: { sampleBy: "paragraph" },
  seeds: [ROWS.map((row) => row.output).join("\n\n")],
  mutate: mutateBytes,
  passes: (bytes) => bytes.length > 0,
});
