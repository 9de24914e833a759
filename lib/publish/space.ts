// A space on the Hub: a container with the chat page, as files. It fetches the model from its own repository when it starts.
import { fromFileUrl, join } from "@std/path";
import { UserError } from "../errors.ts";
import type { PushFile } from "../hub/push.ts";
import { dockerfile, program, readme } from "./space_texts.ts";

/** Options of a space. */
export interface SpaceOptions {
  /** "owner/name" of the space. Default: the model's, with -chat behind it. */
  repo?: string;
  /** What the page on the Hub is called. Default: the model's name. */
  title?: string;
  /** Questions that the page offers to begin with. */
  examples?: readonly string[];
  /** Load the base in NF4, which needs less memory. Default: false. */
  quantize?: boolean;
}

/** Which model a space serves. */
export interface SpaceModel {
  repo: string;
  kind: "adapter" | "model";
  base?: string;
  /** How a question becomes text, where the model was not trained on conversations. */
  prompt?: "alpaca" | "financeQA";
}

/** The files of a space: its head, its container, its program, and what the program imports. */
export async function spaceFiles(model: SpaceModel, options: SpaceOptions = {}): Promise<PushFile[]> {
  const library = libraryOf(import.meta.url);
  const texts: Record<string, string> = {
    "README.md": await readme(model, options),
    "Dockerfile": dockerfile(Deno.version.deno),
    "main.ts": program(model, options),
    "deno.json": settings(library),
  };
  const own = Object.entries(texts).map(([path, text]) => {
    const content = new TextEncoder().encode(text);
    return { path, size: content.length, content };
  });
  return [...own, ...("folder" in library ? await copies(library.folder) : [])];
}

/** This library: a version on the registry, or (while it is worked on) the folder it runs from. */
type Library = { version: string } | { folder: string };

function libraryOf(url: string): Library {
  const version = /\/@fintune\/fintune\/(\d+\.\d+\.\d+[\w.+-]*)\//.exec(url)?.[1];
  if (version) return { version };
  if (url.startsWith("file:")) return { folder: fromFileUrl(new URL("../../", url)) };
  throw new UserError(`A space imports this library from JSR or a folder, and it runs from ${url} here.`);
}

const NAME = "@fintune/fintune";

function settings(library: Library): string {
  const permissions = {
    space: {
      read: true,
      write: true,
      net: true,
      ffi: true,
      sys: ["systemMemoryInfo"],
      env: ["FINTUNE_BACKEND", "HF_*", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "HOME", "PORT"],
    },
  };
  const common = { nodeModulesDir: "none", lock: false, permissions };
  const json = "version" in library ? { imports: { [NAME]: `jsr:${NAME}@${library.version}` }, ...common } : {
    imports: { [NAME]: `jsr:${NAME}@*` },
    links: ["./fintune", "./fintune/lib/std/path", "./fintune/lib/std/cli"],
    ...common,
  };
  return JSON.stringify(json, null, 2) + "\n";
}

/** What of the library a program needs. */
async function copies(folder: string): Promise<PushFile[]> {
  const { name, version, exports, imports: all } = JSON.parse(
    await Deno.readTextFile(join(folder, "deno.json")),
  );
  const files: PushFile[] = [], imports: Record<string, string> = {};
  for (const path of await filesBelow(folder, ["mod.ts", "lib", "kernels"])) {
    const content = await Deno.readFile(join(folder, path)), text = new TextDecoder().decode(content);
    files.push({ path: `fintune/${path}`, size: content.length, content });
    // Packages that only tests need would make the container larger.
    for (const [specifier, target] of Object.entries<string>(all)) {
      if (path.endsWith(".ts") && text.includes(`"${specifier}"`)) imports[specifier] = target;
    }
  }
  const settings = JSON.stringify({ name, version, exports, imports }, null, 2) + "\n";
  const content = new TextEncoder().encode(settings);
  files.push({ path: "fintune/deno.json", size: content.length, content });
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

async function filesBelow(folder: string, entries: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const entry of entries) {
    const path = join(folder, entry), { isDirectory } = await Deno.stat(path);
    if (!isDirectory) found.push(entry);
    else {
      const names = (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => `${entry}/${name}`);
      found.push(...await filesBelow(folder, names));
    }
  }
  return found;
}
