// Which models answer: by their names, each a base alone or with one of its adapters; those of one base share their streams.
import { basename } from "@std/path";
import { UserError } from "../errors.ts";
import type { TokenStreams } from "../generate/streams.ts";
import { openStreams, type StreamsOptions } from "../generate/streams.ts";
import { useAdapter } from "../lora.ts";
import { type Model, weightsFor } from "../models/model.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** One name of /v1/models. */
export interface ServedModel {
  readonly id: string;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** The adapter that answers; null: the base. */
  readonly adapter: string | null;
  /** Name of the same base without an adapter, where it is served. */
  readonly base?: string;
  readonly streams: TokenStreams;
}

/** Opens streams for each base; throws UserError for models without a tokenizer, and where they do not fit. */
export function openModels(
  given: Model | Readonly<Record<string, Model>>,
  options: StreamsOptions,
): Map<string, ServedModel> {
  const named = isModel(given) ? namesOf(given) : Object.entries(given);
  if (named.length === 0) throw new UserError("serve needs a model, or models by name.");
  const opened = new Map<Model["weights"], { model: Model; streams: TokenStreams }>();
  const served = new Map<string, ServedModel>();
  for (const [id, model] of named) {
    if (!isModel(model)) throw new UserError(`serve: "${id}" is no model (see loadModel).`);
    const { tokenizer } = model;
    if (!tokenizer) {
      throw new UserError(
        `${model.name} has no tokenizer.json: without the tokenizer's files it cannot be served.`,
      );
    }
    const base = weightsFor(model, undefined), adapter = model.active ?? null;
    // Models of one base share its streams, as long as they have the adapter that this one answers with.
    const known = opened.get(base);
    const shares = known &&
      (adapter === null || known.model.adapters.get(adapter) === model.adapters.get(adapter));
    const streams = shares ? known.streams : openStreams(model, options);
    if (!known) opened.set(base, { model, streams });
    served.set(id, { id, model, tokenizer, adapter, streams });
  }
  return new Map([...served].map(([id, entry]) => [id, { ...entry, base: baseId(entry, served) }]));
}

const isModel = (value: unknown): value is Model =>
  typeof value === "object" && value !== null && "weights" in value && "device" in value &&
  "adapters" in value;

/** A model under its folder's name and each of its adapters under that name with the adapter's; the one in use comes first. */
function namesOf(model: Model): [string, Model][] {
  const name = basename(model.name) || "model";
  const all = [...model.adapters.keys()].map((
    adapter,
  ): [string, Model] => [`${name}/${adapter}`, useAdapter(model, adapter)]);
  const inUse = all.filter(([, { active }]) => active === model.active);
  const others = all.filter(([, { active }]) => active !== model.active);
  return [...inUse, [name, useAdapter(model, undefined)], ...others];
}

function baseId(entry: ServedModel, served: ReadonlyMap<string, ServedModel>): string | undefined {
  if (entry.adapter === null) return undefined;
  const weights = weightsFor(entry.model, undefined);
  return [...served.values()]
    .find(({ adapter, model }) => adapter === null && weightsFor(model, undefined) === weights)?.id;
}
