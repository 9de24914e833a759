// Several models by name, and a measure of each of them beside its change.
import { checkModel } from "../arguments.ts";
import { UserError } from "../errors.ts";
import { useAdapter } from "../lora.ts";
import type { Model } from "../models/model.ts";
import { bootstrap, type BootstrapOptions } from "./bootstrap.ts";
import type { MeasuredScore } from "./evaluation.ts";
import type { Measure } from "./score.ts";

/** The models by name: a tuned one stands beside its base. */
export function modelsOf(
  caller: string,
  model: Model | Readonly<Record<string, Model>>,
): Map<string, Model> {
  const isModel = (value: unknown): value is Model =>
    (value as Partial<Model> | null)?.weights instanceof Map;
  if (!isModel(model) && (typeof model !== "object" || model === null || model instanceof Promise)) {
    checkModel(caller, model);
  }
  if (!isModel(model)) {
    const models = new Map(Object.entries(model));
    if (models.size === 0) throw new UserError(`${caller} needs at least one model, and got none.`);
    models.forEach((one) => checkModel(caller, one));
    return models;
  }
  if (model.active === undefined) return new Map([["model", model]]);
  return new Map([["base", useAdapter(model, undefined)], ["tuned", model]]);
}

/** A measure of several models with its intervals. */
export function measuredScore(
  models: readonly string[],
  measures: readonly Measure[],
  options: BootstrapOptions,
): MeasuredScore {
  const { values, changes } = bootstrap(measures, options);
  const { name, max = 1, lowerIsBetter = false } = measures[0];
  return {
    name,
    max,
    lowerIsBetter,
    values: Object.fromEntries(models.map((model, m) => [model, values[m]])),
    changes: Object.fromEntries(models.slice(1).map((model, m) => [model, changes[m]])),
  };
}
