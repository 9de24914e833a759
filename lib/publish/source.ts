// What a folder holds that can be published: an adapter or a model, and the run that it came from.
import { join } from "@std/path";
import type { Row } from "../data/row.ts";
import { UserError } from "../errors.ts";
import { exists } from "../formats/exists.ts";
import { isHubName, isOnHub } from "../hub/names.ts";
import { readRun } from "../report/report.ts";
import type { RunFolder } from "../report/page.ts";
import { readOptionalJson } from "../text/files.ts";

/** An adapter's or model's folder. */
export interface Source {
  folder: string;
  /** "gguf": for llama.cpp and its like alone. */
  kind: "adapter" | "model" | "gguf";
  /** The base's name on the Hub. */
  base?: string;
  encoderDecoder: boolean;
  /** adapter_config.json */
  adapter?: Row;
  run?: RunFolder;
}

/** What the folder's owner says of it. */
export interface SourceOptions {
  /** The base's name on the Hub. Default: what the adapter or the run names, where that is such a name. */
  baseModel?: string;
  /** The run's folder. Default: the folder itself, or the one above, where a run's log or evaluation lies. */
  run?: string;
}

/**
 * Looks at a folder. A run's folder stands for the adapter in it.
 *
 * @throws UserError where there is neither adapter nor model, or an adapter's base is not on the Hub
 */
export async function readSource(given: string, options: SourceOptions): Promise<Source> {
  const isAdapter = (folder: string) => exists(join(folder, "adapter_config.json"));
  const hasModel = async (folder: string) =>
    await exists(join(folder, "config.json")) || await hasFile(folder, /\.gguf$/);
  const below = join(given, "adapter");
  const folder = !await isAdapter(given) && !await hasModel(given) && await isAdapter(below) ? below : given;
  if (!await isAdapter(folder) && !await hasModel(folder)) {
    throw new UserError(
      `${given} holds neither an adapter (adapter_config.json) nor a model (config.json, or .gguf): name the folder of one.`,
    );
  }
  const adapter = await readOptionalJson(join(folder, "adapter_config.json"));
  const config = await readOptionalJson(join(folder, "config.json"));
  const run = await runOf(folder, options.run);
  const named = options.baseModel ?? adapter?.base_model_name_or_path ?? run?.settings?.model;
  // A folder here may be called like a repository there.
  const onHub = typeof named === "string" && named.includes("/") &&
    (options.baseModel === undefined ? await isOnHub(named) : isHubName(named));
  const base = onHub ? named : undefined;
  if (options.baseModel !== undefined && base === undefined) {
    throw new UserError(`baseModel is "${options.baseModel}"; the base's name on the Hub is "owner/name".`);
  }
  if (adapter && base === undefined) {
    throw new UserError(
      `${folder} names its base ${
        JSON.stringify(named ?? "")
      }, which is no name on the Hub, so nobody could load the adapter: say { baseModel: "owner/name" } (--base).`,
    );
  }
  const encoderDecoder = adapter?.task_type === "SEQ_2_SEQ_LM" || config?.model_type === "t5";
  return {
    folder,
    kind: adapter ? "adapter" : config ? "model" : "gguf",
    base,
    encoderDecoder,
    adapter,
    run,
  };
}

async function hasFile(folder: string, name: RegExp): Promise<boolean> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).some((entry) => name.test(entry.name));
  } catch {
    return false;
  }
}

async function runOf(folder: string, named: string | undefined): Promise<RunFolder | undefined> {
  if (named !== undefined) return await readRun(named);
  for (const place of [folder, join(folder, "..")]) {
    for (const sign of ["log.jsonl", join("evaluation", "scores.json")]) {
      if (await exists(join(place, sign))) return await readRun(place);
    }
  }
}
