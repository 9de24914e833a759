// The folder of an exported model: it appears whole, and what is added to one that is there appears together.
import { basename, dirname, join } from "@std/path";
import { UserError } from "../errors.ts";
import { removeLeftovers, writeFileAtomic, writeFolder } from "../formats/atomic.ts";
import { exists } from "../formats/exists.ts";
import { fileError } from "../formats/file_error.ts";
import { type JsonObject, readOptionalJson } from "../text/files.ts";
import type { Companions } from "./companions.ts";
import type { FilePart } from "./file.ts";

interface Content {
  /** Files of onnx/, data before the model that names them. */
  readonly parts: readonly FilePart[];
  readonly companions: Companions;
  /** What Transformers.js calls the type. */
  readonly dtype: string;
  readonly overwrite: boolean;
}

export async function writeModelFolder(folder: string, content: Content): Promise<void> {
  const makeFolder = (path: string) =>
    Deno.mkdir(path, { recursive: true }).catch((error) => {
      throw fileError(error, folder, "write");
    });
  if (!await exists(folder)) {
    await makeFolder(dirname(folder));
    await removeLeftovers(dirname(folder), (name) => name === basename(folder)); // of a process that was killed
    return await writeFolder(folder, async (temporary) => {
      await Deno.mkdir(join(temporary, "onnx"));
      await fill(temporary, content);
    });
  }
  await refuseExisting(folder, content);
  await makeFolder(join(folder, "onnx"));
  await removeLeftovers(folder, (name) => name === "onnx");
  await fill(folder, content);
}

/** Files of this type, or companions of another model. */
async function refuseExisting(folder: string, { parts, companions, overwrite }: Content): Promise<void> {
  if (overwrite) return;
  for (const { path } of parts) {
    const file = join(folder, "onnx", path);
    if (await exists(file)) {
      throw new UserError(
        `${file} exists already: choose another folder, or replace it with { overwrite: true }.`,
      );
    }
  }
  for (const [name, content] of companions) {
    if (!await isOther(join(folder, name), content)) continue;
    throw new UserError(
      `${
        join(folder, name)
      } is of another model: choose another folder, or replace it with { overwrite: true }.`,
    );
  }
}

/** Whether a file is there and says something else; what other exports have added to config.json does not count. */
async function isOther(path: string, content: string): Promise<boolean> {
  const found = await readOptionalJson(path);
  const { [JS_CONFIG]: _added, ...rest } = found ?? {};
  return found !== undefined && JSON.stringify(rest) !== JSON.stringify(JSON.parse(content));
}

/** The models are written under another name first: what can fail fails before anything is replaced. */
async function fill(folder: string, content: Content): Promise<void> {
  const { parts } = content;
  const staging = join(folder, `.onnx.${crypto.randomUUID().slice(0, 8)}.tmp`);
  const target = (path: string) => join(folder, "onnx", path);
  try {
    await Deno.mkdir(staging);
    for (const { path, pieces } of parts) await writeFileAtomic(join(staging, path), pieces());
    await writeCompanions(folder, content);
    // A model never lies beside another model's data: the old one goes first.
    await removeOld(join(folder, "onnx"), parts);
    for (const { path } of parts) await Deno.rename(join(staging, path), target(path));
  } catch (error) {
    throw error instanceof UserError ? error : fileError(error, folder, "write");
  } finally {
    await Deno.remove(staging, { recursive: true }).catch(() => {});
  }
}

const isModel = (path: string) => path.endsWith(".onnx");

async function removeOld(folder: string, parts: readonly FilePart[]): Promise<void> {
  const models = parts.map(({ path }) => path).filter(isModel);
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  const old = names.filter((name) =>
    models.some((model) => name === model || name.startsWith(`${model}_data`))
  );
  for (const name of old.sort()) await Deno.remove(join(folder, name));
}

const JS_CONFIG = "transformers.js_config", EXTERNAL = "use_external_data_format";

async function writeCompanions(folder: string, { parts, companions, dtype }: Content): Promise<void> {
  for (const [name, content] of companions) {
    const path = join(folder, name);
    const text = name === "config.json" ? await withJsConfig(path, parts, dtype, content) : content;
    await writeFileAtomic(path, text);
  }
}

/**
 * config.json tells Transformers.js which type to load where nobody says (its own choice, by the device, may not be there), and
 * how many data files each model has.
 */
async function withJsConfig(
  path: string,
  parts: readonly FilePart[],
  dtype: string,
  content: string,
): Promise<string> {
  const known = (await readOptionalJson(path))?.[JS_CONFIG] as JsonObject | undefined;
  const external: JsonObject = { ...known?.[EXTERNAL] as JsonObject | undefined };
  for (const { path: model } of parts.filter(({ path }) => isModel(path))) {
    const files = parts.filter(({ path }) => path.startsWith(`${model}_data`)).length;
    if (files > 0) external[model] = files;
    else delete external[model];
  }
  const { [EXTERNAL]: _, ...rest } = known ?? {};
  const added = { dtype, ...rest, ...Object.keys(external).length > 0 && { [EXTERNAL]: external } };
  return JSON.stringify({ ...JSON.parse(content), [JS_CONFIG]: added }, null, 2) + "\n";
}
