// The examples as notebooks, run by the real nbconvert on Deno's kernel: tables, charts and progress come as rich output,
// and nothing as a terminal's escapes.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { notebookOf } from "../../examples/notebooks.ts";

const script = fromFileUrl(new URL("./run_notebook.py", import.meta.url));
const examples = fromFileUrl(new URL("../../examples/", import.meta.url));

interface Output {
  output_type: string;
  text?: string;
  data?: Record<string, unknown>;
}

/** The outputs of all cells, after a run of a few steps. */
async function run(name: string, flags: readonly string[]): Promise<Output[]> {
  const folder = await Deno.makeTempDir(), path = join(folder, "in.ipynb"), out = join(folder, "out.ipynb");
  const source = await Deno.readTextFile(join(examples, `${name}.ts`));
  await Deno.writeTextFile(
    path,
    JSON.stringify(notebookOf(name, source, [...flags, "--out", join(folder, "run")])),
  );
  const python = Deno.env.get("FINTUNE_PYTHON") ?? "python3";
  const command = new Deno.Command(python, { args: [script, Deno.execPath(), path, examples, out] });
  const { success, stderr } = await command.output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const { cells } = JSON.parse(await Deno.readTextFile(out));
  await Deno.remove(folder, { recursive: true });
  return cells.flatMap(({ outputs = [] }: { outputs?: Output[] }) => outputs);
}

/** How many tables and charts each shows at least. */
const expected: [name: string, flags: string[], tables: number, charts: number][] = [
  ["qwen2_risk_json", ["--max-steps", "2", "--rows", "40", "--test", "4"], 2, 1],
  ["tinyllama_finance_alpaca", ["--max-steps", "2", "--rows", "40", "--test", "8"], 1, 2],
  ["smollm2_finsight", ["--max-steps", "2", "--test", "5"], 4, 3],
  ["mistral_gemma_fingpt", ["--max-steps", "2", "--rows", "48", "--test", "6"], 3, 5],
  ["flan_t5_sql", ["--max-steps", "2", "--rows", "40", "--test", "4"], 1, 0],
];
for (const [name, flags, tables, charts] of expected) {
  Deno.test(`${name} as a notebook`, async () => {
    const outputs = await run(name, flags);
    const shown = (type: string) => outputs.filter(({ data }) => data?.[type] !== undefined).length;
    assert.ok(shown("text/markdown") >= tables, `${shown("text/markdown")} tables`);
    assert.ok(shown("image/svg+xml") >= charts, `${shown("image/svg+xml")} charts`);
    assert.equal(shown("application/vnd.vegalite.v5+json"), shown("image/svg+xml"));
    const bars = outputs.filter(({ data }) => String(data?.["text/html"]).startsWith("<progress"));
    assert.ok(bars.length >= 2, `${bars.length} progress bars`);
    assert.deepEqual(outputs.filter((output) => /\\u001b|\\r/.test(JSON.stringify(output))), []);
    assert.deepEqual(outputs.filter(({ output_type }) => output_type === "error"), []);
  });
}
