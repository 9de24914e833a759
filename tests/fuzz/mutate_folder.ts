// A reference folder as a seed, and mutations of one of its files by what the file is.
import { mutateBytes } from "./mutate_bytes.ts";
import { mutateJson } from "./mutate_json.ts";
import { mutateSafetensors, safetensorsHeader } from "./mutate_safetensors.ts";
import { chance, pick, type Random } from "./random.ts";
import { encode, type Files, isJsonObject, parsed } from "./reader.ts";

/** The files of a folder under tests/reference whose names end so. */
export async function folderFiles(path: string, endings = [".json", ".safetensors"]): Promise<Files> {
  const url = new URL(`../reference/${path}/`, import.meta.url), files: Files = new Map();
  for await (const { name } of Deno.readDir(url)) {
    if (endings.some((ending) => name.endsWith(ending))) {
      files.set(name, await Deno.readFile(new URL(name, url)));
    }
  }
  return files;
}

/** Changes one file, mostly one of the JSON files `favoured`; sometimes a file is missing. */
export function mutateFolder(files: Files, random: Random, favoured: string[]): void {
  const name = chance(random, 0.75) ? pick(random, favoured) : pick(random, [...files.keys()]);
  if (chance(random, 0.02)) return void files.delete(name);
  const bytes = files.get(name);
  if (!bytes) return;
  if (chance(random, 0.06)) files.set(name, mutateBytes(bytes, random));
  else if (name.endsWith(".safetensors")) files.set(name, mutateSafetensors(bytes, random));
  else files.set(name, encode(mutateJson(parsed(bytes), random)));
}

/** Every file passes the outer parse of its kind. */
export function folderPasses(files: Files, needed: string[]): boolean {
  return needed.every((name) => files.has(name)) &&
    [...files].every(([name, bytes]) =>
      name.endsWith(".json")
        ? isJsonObject(bytes)
        : !name.endsWith(".safetensors") || safetensorsHeader(bytes) !== undefined
    );
}
