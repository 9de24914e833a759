// Another project imports the library by its name: types come along, and what is not used is not loaded.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";

const root = fromFileUrl(new URL("..", import.meta.url));

async function deno(cwd: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** A folder outside the tree; the links stand for the registry. */
async function project(script: string): Promise<string> {
  const folder = await Deno.makeTempDir();
  const config = {
    imports: { "@fintune/fintune": "jsr:@fintune/fintune@^0.1.0" },
    links: ["", "lib/std/path", "lib/std/cli"].map((path) => join(root, path)),
  };
  await Deno.writeTextFile(join(folder, "deno.json"), JSON.stringify(config));
  await Deno.writeTextFile(join(folder, "main.ts"), script);
  return folder;
}

const scoring = `import * as fintune from "@fintune/fintune";
const scores: fintune.RougeScores = fintune.rougeScore(["a bond pays interest"], ["a bond pays a coupon"]);
console.log(scores.rougeL.fmeasure.toFixed(4));`;

Deno.test("a project of its own: the types fit, and ROUGE needs no permission", async () => {
  const folder = await project(scoring);
  await deno(folder, "check", "main.ts");
  assert.equal(await deno(folder, "run", "--no-prompt", "main.ts"), "0.6667\n");
  await Deno.writeTextFile(join(folder, "wrong.ts"), scoring.replace("RougeScores", "GenerateOptions"));
  await assert.rejects(deno(folder, "check", "wrong.ts"), /is not assignable|no properties in common/);
  await Deno.remove(folder, { recursive: true });
});

interface Graph {
  roots: string[];
  redirects: Record<string, string>;
  modules: {
    specifier: string;
    dependencies?: { isDynamic?: boolean; code?: { specifier: string } }[];
  }[];
}

/** What is loaded with mod.ts itself: modules of this repository, and packages by their names. */
async function loadedWithMod(): Promise<{ modules: Set<string>; packages: Set<string> }> {
  const graph: Graph = JSON.parse(await deno(root, "info", "--json", "mod.ts"));
  const byName = new Map(graph.modules.map((module) => [module.specifier, module]));
  const modules = new Set<string>(), packages = new Set<string>(), open = [graph.roots[0]];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (modules.has(name)) continue;
    const [, packaged] = /^npm:\/?((?:@[^/]+\/)?[^/@]+)/.exec(name) ?? [];
    if (packaged) packages.add(packaged);
    else modules.add(name);
    const { dependencies = [] } = byName.get(graph.redirects[name] ?? name) ?? {};
    open.push(...dependencies.flatMap(({ isDynamic, code }) => isDynamic || !code ? [] : [code.specifier]));
  }
  return { modules, packages };
}

Deno.test("mod.ts loads neither onnxruntime nor charts nor the Hub's client before they are used", async () => {
  const { modules, packages } = await loadedWithMod();
  assert.deepEqual([...packages].sort(), ["deno-std", "hyparquet"]);
  assert.ok(modules.size > 300, `${modules.size} modules`); // the walk has found them
});
