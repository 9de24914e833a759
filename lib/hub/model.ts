// Which files of a model's or adapter's repository are needed, and where they are once fetched.
import { join } from "@std/path";
import { UserError } from "../errors.ts";
import { readText } from "./cache.ts";
import { isOnHub, lookedUp, repository } from "./names.ts";
import { fetchFiles, type OpenRepo, openRepo } from "./repo.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

/** Options of everything that may come from the Hub. */
export interface HubOptions {
  /** Branch, tag or commit on the Hub; default "main". */
  revision?: string;
  /** No progress line while files are fetched; default false. */
  quiet?: boolean;
}

/** What can be fetched of a model: config.json, what tokenizer and generation need, the weights; or an adapter. */
export type ModelPart = "config" | "tokenizer" | "weights" | "adapter";

/** A model's folder, here or on the Hub. */
export interface ModelSource {
  /** The folder; its files are there once their part was fetched. */
  folder: string;
  /** Fetches parts that are not in the cache yet; does nothing for a folder of one's own. */
  fetch(...parts: ModelPart[]): Promise<void>;
}

/** Each entry is a file, or several of which the first that is there says the same as the others. */
const SMALL: Record<Exclude<ModelPart, "weights">, readonly (string | readonly string[])[]> = {
  config: ["config.json"],
  tokenizer: [
    ["tokenizer.json", "tokenizer.model", "qwen.tiktoken"],
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    ["generation_config.json", "config.json"], // they too say what ends a text
  ],
  adapter: ["adapter_config.json", "adapter_model.safetensors"],
};
const SINGLE = "model.safetensors", INDEX = "model.safetensors.index.json";

/**
 * Finds out what a name means: a folder here is itself, "owner/name" that is none is a model on the Hub.
 *
 * @param settings default: what the environment says
 */
export async function modelSource(
  name: string,
  { revision, quiet }: HubOptions = {},
  settings?: HubSettings,
): Promise<ModelSource> {
  if (!await isOnHub(name)) return { folder: name, fetch: () => Promise.resolve() };
  const open = await lookedUp(
    name,
    async () => await openRepo(repository("model", name, revision), settings ?? await hubSettings()),
  );
  return {
    folder: open.folder,
    async fetch(...parts) {
      const small = parts.flatMap((part) => part === "weights" ? [] : SMALL[part]);
      const found = small.map((names) => [names].flat().find((name) => open.files.has(name)));
      await fetchFiles(open, found.filter((name) => name !== undefined), quiet);
      if (parts.includes("weights")) await fetchWeights(open, quiet);
    },
  };
}

/** One file or the shards that the index names; never the same weights in another format. */
async function fetchWeights(open: OpenRepo, quiet?: boolean): Promise<void> {
  const { files, folder, repo } = open;
  if (files.has(SINGLE)) return void await fetchFiles(open, [SINGLE], quiet);
  if (!files.has(INDEX)) {
    const others = [...files.keys()].filter((path) =>
      /^[^/]+\.(bin|pt|pth|gguf|onnx|h5|msgpack|safetensors)$/.test(path)
    );
    throw new UserError(
      `${repo.id} has no ${SINGLE} and no ${INDEX}${
        others.length > 0 ? ` (only ${others.slice(0, 3).join(", ")})` : ""
      }: choose a repository or revision with safetensors weights.`,
    );
  }
  await fetchFiles(open, [INDEX], quiet);
  await fetchFiles(open, shardsOf(await readText(join(folder, INDEX)), repo.id), quiet);
}

function shardsOf(index: string | undefined, id: string): string[] {
  try {
    const shards = [...new Set(Object.values(JSON.parse(index ?? "").weight_map ?? {}))];
    if (shards.every((shard) => typeof shard === "string")) return shards;
  } catch {
    // the same sentence as for an index whose shards are no names
  }
  throw new UserError(`${id}: ${INDEX} does not say in which files the weights lie.`);
}

/**
 * Fetches a model from the Hub into the cache, if it is not there: configuration, tokenizer and safetensors weights, nothing
 * else. {@linkcode loadModel} does so by itself; this is for fetching before a machine loses its network.
 *
 * @param name "owner/name" on the Hub, or a folder, which is given back as it is
 * @returns the folder
 * @throws UserError when the Hub refuses (no such model, gated, wrong token), cannot be reached, or the disk is full
 *
 * @example
 * ```ts
 * import { downloadModel } from "@fintune/fintune";
 * console.log(await downloadModel("tests/reference/llama_tied/model")); // tests/reference/llama_tied/model
 * ```
 */
export async function downloadModel(name: string, options: HubOptions = {}): Promise<string> {
  const source = await modelSource(name, options);
  await source.fetch("config", "tokenizer", "weights");
  return source.folder;
}
