// Turns the examples into Jupyter notebooks for Deno's kernel: every `// %%` begins a cell.
//
//   deno task notebooks [--out examples] [--flags="--max-steps 20"] [--overwrite] [tinyllama_finance_alpaca ...]
//
// They lie beside the examples, whose files they import, and are kept out of the repository. Then, with Jupyter installed:
// deno jupyter --install; jupyter lab examples

import { parseArgs } from "@std/cli";
import { basename, join } from "@std/path";
import { showUserErrors, UserError } from "@fintune/fintune";

const RECIPES = [
  "smollm2_finsight",
  "tinyllama_finance_alpaca",
  "qwen2_risk_json",
  "flan_t5_sql",
  "mistral_gemma_fingpt",
];

/** A cell of nbformat 4. */
interface Cell {
  cell_type: "markdown" | "code";
  metadata: Record<string, never>;
  source: string;
  execution_count?: null;
  outputs?: [];
}

/** A notebook of nbformat 4.4, ready to be written as JSON. */
export interface Notebook {
  cells: Cell[];
  metadata: Record<string, unknown>;
  nbformat: 4;
  nbformat_minor: 4;
}

const markdown = (source: string): Cell => ({ cell_type: "markdown", metadata: {}, source });
const code = (source: string): Cell => ({
  cell_type: "code",
  metadata: {},
  source,
  execution_count: null,
  outputs: [],
});

/** What a notebook has in place of a command line. */
const commandLine = (flags: readonly string[]) =>
  code(
    `// The flags of the example, as on a command line: ["--max-steps", "20"]\nconst commandLine: string[] = ${
      JSON.stringify(flags)
    };\nvoid Object.defineProperty(Deno, "args", { value: commandLine, configurable: true });`,
  );

/** An example as a notebook: the comment at its head as text, then its cells, each under its title. */
export function notebookOf(name: string, source: string, flags: readonly string[] = []): Notebook {
  const [head, ...cells] = source.split(/^\/\/ %% ?/m);
  if (cells.length === 0) throw new UserError(`${name} has no cells: begin each with a line "// %% title".`);
  const said = head.split("\n").map((line) => line.replace(/^\/\/ ?/, "")).join("\n").trim();
  const parts = cells.flatMap((cell) => {
    const end = cell.indexOf("\n");
    return [markdown(`## ${cell.slice(0, end)}`), code(cell.slice(end + 1).trim())];
  });
  return {
    cells: [markdown(`# ${name}\n\n${indentedAsCode(said)}`), commandLine(flags), ...parts],
    metadata: {
      kernelspec: { display_name: "Deno", language: "typescript", name: "deno" },
      language_info: { name: "typescript", file_extension: ".ts", mimetype: "text/x.typescript" },
    },
    nbformat: 4,
    nbformat_minor: 4,
  };
}

/** Command lines stand indented by two spaces in a comment; Markdown wants four. */
const indentedAsCode = (text: string) => text.replaceAll(/^(?= {2})/gm, "  ");

/** Writes a notebook; one that was worked in is not overwritten. */
async function write(path: string, notebook: Notebook, overwrite: boolean): Promise<void> {
  const text = JSON.stringify(notebook, null, 1) + "\n";
  const there = await Deno.readTextFile(path).catch(() => undefined);
  if (there !== undefined && there !== text && !overwrite) {
    throw new UserError(`${path} is there and differs: add --overwrite, or another folder with --out.`);
  }
  await Deno.writeTextFile(path, text).catch(({ message }) => {
    throw new UserError(`${path} cannot be written: ${message}`);
  });
}

if (import.meta.main) {
  showUserErrors();
  const args = parseArgs(Deno.args, {
    string: ["_", "out", "flags"],
    boolean: ["overwrite"],
    unknown(argument, key) {
      if (key) throw new UserError(`${argument} is no flag; there are --out, --flags and --overwrite.`);
    },
  });
  const out = args.out ?? "examples", flags = args.flags?.split(" ").filter(Boolean) ?? [];
  await Deno.mkdir(out, { recursive: true }).catch(({ message }) => {
    throw new UserError(`The folder ${out} cannot be made: ${message}`);
  });
  for (const name of args._.length > 0 ? args._.map((name) => basename(String(name), ".ts")) : RECIPES) {
    const source = await Deno.readTextFile(new URL(`./${name}.ts`, import.meta.url)).catch(() => {
      throw new UserError(`There is no example ${name}: there are ${RECIPES.join(", ")}.`);
    });
    const path = join(out, `${name}.ipynb`);
    await write(path, notebookOf(name, source, flags), args.overwrite);
    console.log(path);
  }
}
