// An adapter or a model onto the Hub, with its card, and a space to talk to it: shown first, sent once somebody agreed.
import { checkModel, checkName } from "../arguments.ts";
import { UserError } from "../errors.ts";
import { isHubName, isOnHub, type Repo, repository } from "../hub/names.ts";
import { checkMayPush, pushFiles } from "../hub/push.ts";
import { type HubSettings, hubSettings } from "../hub/settings.ts";
import { saveModel } from "../models/save_model.ts";
import { activeAdapter, type Model } from "../models/model.ts";
import { saveAdapter } from "../peft.ts";
import { type CardFacts, type CardOptions, PICTURE, writeCard } from "./card.ts";
import { placeless, withoutPlace } from "./card_parts.ts";
import { chooseFiles, refuseSecrets } from "./files.ts";
import { readOptionalJson } from "../text/files.ts";
import { findLicences, licenceOf } from "./licences.ts";
import { planPush, type PushPlan, type Target } from "./plan.ts";
import { readSource, type Source, type SourceOptions } from "./source.ts";
import { spaceFiles, type SpaceOptions } from "./space.ts";

/** Options of {@linkcode pushToHub}. */
export interface PushOptions extends SourceOptions {
  /** Only the owner sees what is published. Default: true. What is there already keeps its visibility. */
  private?: boolean;
  /** Default: HF_TOKEN, or the token of `hf auth login`. Sent to the Hub alone, never written. */
  token?: string;
  /** First line of the commit. Default: "Upload with fintune". */
  message?: string;
  /**
   * What the card says besides what the run tells; false: no card. A README.md of the folder's own stays as it is.
   */
  card?: CardOptions | false;
  /** Patterns of files in the folder that are published too: by default neither data nor what looks like secrets is. */
  include?: readonly string[];
  /** Also a space, a small program on the Hub with a page on which people talk to the model. */
  space?: boolean | SpaceOptions;
  /**
   * Asked before anything leaves the machine, with all that is about to; only true goes on. Default: the question on the
   * terminal; where there is none, an error.
   */
  confirm?: (plan: PushPlan) => boolean | Promise<boolean>;
  /** Ends the push; the next one goes on. */
  signal?: AbortSignal;
  /** Neither the plan nor progress is printed. */
  quiet?: boolean;
}

/** What {@linkcode pushToHub} did. */
export interface PushReport {
  /** The model's page. */
  url: string;
  /** The commit that has all of it. */
  commit: string;
  /** The space's page. */
  spaceUrl?: string;
  /** Bytes of large files that were sent; those that the Hub had were not sent again. */
  sent: number;
}

/**
 * Publishes an adapter or a model on the Hub: its files, and a card (README.md) written from the run, with results and their
 * intervals, curves, settings, numbers of the data, licences, limits and code for fintune, PEFT and Transformers. What is
 * about to be published (files, sizes, who sees it, and what stays here) is printed, then confirmed. Private by default.
 *
 * Only what is missing is sent, in one commit. A push that was cut goes on: files that storage has are not sent again, nor,
 * with Xet, the blocks of a file that was on its way. Checkpoints, logs, data, answers and what looks like a secret stay here
 * unless `include` asks; a key in a text that would be published is an error. Paths of this machine are taken out.
 *
 * @param source folder of an adapter or model, of a run (its adapter is meant), or a model: its adapter in use, else its weights
 * @param repo "owner/name"
 * @param options see {@linkcode PushOptions}
 * @returns undefined where it was not confirmed
 * @throws UserError when there is nothing to publish, no token, the Hub refuses (401, 403, 402 for a space), the repository is
 *   public and `private: false` was not said, somebody else pushes meanwhile, or the connection does not last
 *
 * @example
 * ```ts
 * import { pushToHub } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * // With a token: await pushToHub("out/finetune", "me/finance-lora", { card: { license: "apache-2.0" } })
 * await assert.rejects(pushToHub("examples", "me/finance-lora", { token: "hf_" + "x".repeat(20) }), /neither an adapter/);
 * ```
 */
export async function pushToHub(
  source: string | Model,
  repo: string,
  options: PushOptions = {},
): Promise<PushReport | undefined> {
  if (typeof source !== "string") checkModel("pushToHub", source);
  checkName("pushToHub", "a repository's name", repo);
  const target = targetRepo("model", repo);
  const found = await hubSettings();
  const settings = { ...found, token: options.token ?? found.token };
  checkMayPush(settings);
  if (typeof source === "string") return await push(source, target, settings, options);
  const folder = await Deno.makeTempDir({ prefix: "fintune-push-" });
  try {
    await (activeAdapter(source) ? saveAdapter(source, folder) : saveModel(source, folder));
    return await push(folder, target, settings, options);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function targetRepo(type: "model" | "space", id: string): Repo {
  if (!isHubName(id) || !id.includes("/")) {
    throw new UserError(`"${id}" is no name of a repository: those are "owner/name".`);
  }
  return repository(type, id);
}

async function push(
  given: string,
  repo: Repo,
  settings: HubSettings,
  options: PushOptions,
): Promise<PushReport | undefined> {
  const isPrivate = options.private ?? true;
  const source = await readSource(given, options);
  const targets = [await modelTarget(source, repo, settings, options)];
  if (options.space) targets.push(await spaceTarget(source, repo, options));
  for (const { files } of targets) await refuseSecrets(files, settings.token);
  const plan = await planPush(targets, settings, isPrivate);
  if (!options.quiet) console.log(`${plan}`);
  if (!await (options.confirm ?? askOnTerminal)(plan)) return undefined;
  const { message = "Upload with fintune", quiet, signal } = options;
  const pushed = [];
  for (const { repo, files, remote } of targets) {
    pushed.push(await pushFiles(repo, files, settings, { isPrivate, message, remote, quiet, signal }));
  }
  const [{ url, commit }, space] = pushed;
  return { url, commit, spaceUrl: space?.url, sent: pushed.reduce((sum, { sent }) => sum + sent, 0) };
}

function askOnTerminal({ repos }: PushPlan): boolean {
  if (!Deno.stdin.isTerminal()) {
    throw new UserError(
      "Nothing was published, as nobody can be asked here: give { confirm: () => true } (--yes) after looking at the plan.",
    );
  }
  return confirm(`Publish ${repos.map(({ id, visibility }) => `${id} (${visibility})`).join(" and ")}?`);
}

async function modelTarget(
  source: Source,
  repo: Repo,
  settings: HubSettings,
  options: PushOptions,
): Promise<Target> {
  const { files, leftOut } = await chooseFiles(source.folder, options.include);
  const made = new Map<string, Uint8Array<ArrayBuffer>>();
  if (source.adapter) {
    // Others find the base by its name on the Hub, not by a path of this machine.
    const named = { ...source.adapter, base_model_name_or_path: source.base };
    made.set("adapter_config.json", new TextEncoder().encode(JSON.stringify(named, null, 2) + "\n"));
  }
  for (const { path, content } of files) {
    if (/^(config|tokenizer_config)\.json$/.test(path)) await takeOutPlaces(path, content, made);
  }
  let card: string | undefined;
  const hasOwnCard = files.some(({ path }) => path === "README.md");
  if (options.card !== false && !hasOwnCard) {
    const { text, picture } = await cardOf(source, repo, settings, options.card ?? {});
    made.set("README.md", new TextEncoder().encode(text));
    card = text;
    if (picture) made.set(PICTURE, picture);
  }
  const kept = files.filter(({ path }) => !made.has(path));
  const written = [...made].map(([path, content]) => ({ path, size: content.length, content }));
  return { repo, files: [...kept, ...written].sort((a, b) => a.path < b.path ? -1 : 1), leftOut, card };
}

/** Transformers writes down from where a model or tokenizer was loaded. */
async function takeOutPlaces(
  path: string,
  content: string,
  made: Map<string, Uint8Array<ArrayBuffer>>,
): Promise<void> {
  const json = await readOptionalJson(content) ?? {};
  const places = ["_name_or_path", "name_or_path"].filter((key) => placeless(json[key]) !== json[key]);
  if (places.length === 0) return;
  const changed = Object.fromEntries(places.map((key) => [key, placeless(json[key])]));
  made.set(path, new TextEncoder().encode(JSON.stringify({ ...json, ...changed }, null, 2) + "\n"));
}

async function cardOf(source: Source, repo: Repo, settings: HubSettings, options: CardOptions) {
  const { settings: used } = source.run ?? {};
  const named = [used?.data].flat().filter((name): name is string => typeof name === "string");
  const shown = named.map(async (name) => await isOnHub(name) ? name : withoutPlace(name));
  const datasets = options.datasets ?? await Promise.all(shown);
  const licences = await findLicences(source.base, datasets, settings);
  const licence = options.license ?? (source.base && licences.get(licenceOf("model", source.base)));
  const facts: CardFacts = { ...source, repo: repo.id, datasets, licence, options };
  return await writeCard(facts, licences);
}

async function spaceTarget(source: Source, repo: Repo, options: PushOptions): Promise<Target> {
  const space = typeof options.space === "object" ? options.space : {};
  const target = targetRepo("space", space.repo ?? `${repo.id}-chat`);
  const trained = source.run?.data?.prompt;
  const prompt = trained === "alpaca" || trained === "financeQA" ? trained : undefined;
  if (source.kind === "gguf") {
    throw new UserError(
      "A space runs an adapter or a model in safetensors, not GGUF alone: push one of those.",
    );
  }
  const files = await spaceFiles({ repo: repo.id, kind: source.kind, base: source.base, prompt }, space);
  return { repo: target, files, leftOut: [] };
}
