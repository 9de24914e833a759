// Giving back what a model holds, at once instead of when it is collected.
import { UserError } from "../errors.ts";
import { type Adapter, type Model, type Weight, weightsFor } from "./model.ts";

/** What else has to go with a base's weights, such as programs that have them built in. */
const alongside = new WeakMap<Model["weights"], (() => void)[]>();

/** Calls `action` when the base of this model is freed. */
export function whenFreed({ weights }: Model, action: () => void): void {
  alongside.set(weights, [...alongside.get(weights) ?? [], action]);
}

/**
 * Frees a model's weights, its adapters and the programs built from them. Models that share its base can't be used any
 * more either; what is generated from it at the moment must have ended. Optimizers have a `free` of their own.
 *
 * @example
 * ```ts
 * import { freeModel, generate, loadModel } from "@fintune/fintune";
 * const model = await loadModel("tests/reference/llama_tied/model");
 * console.log(await generate(model, [1, 15], { maxNewTokens: 4 }));
 * freeModel(model);
 * ```
 */
export function freeModel(model: Model): void {
  const weights = weightsFor(model, undefined);
  for (const adapter of model.adapters.values()) freeAdapter(model, adapter);
  goAlong(weights);
  freeWeights(model, weights.values());
  // Emptied, so that the arrays behind the tensors go too while somebody still holds the model.
  (weights as Map<string, Weight>).clear();
}

function goAlong(weights: Model["weights"]): void {
  alongside.get(weights)?.forEach((action) => action());
  alongside.delete(weights);
}

function freeWeights({ device }: Model, weights: Iterable<Weight>): void {
  for (const weight of weights) {
    device.free(
      ...(weight.kind === "dense" ? [weight.tensor] : [weight.codes, ...Object.values(weight.scales)]),
    );
  }
}

/**
 * The model without one of its adapters, whose matrices are freed; no model that has this adapter can be used with it any
 * more.
 *
 * @throws UserError when the model has no such adapter
 *
 * @example
 * ```ts
 * import { attachLoRA, loadModel, removeAdapter } from "@fintune/fintune";
 * const tuned = attachLoRA(await loadModel("tests/reference/llama_tied/model"), { r: 2, quiet: true });
 * const base = removeAdapter(tuned, "default");
 * console.log(base.adapters.size, base.active); // 0 undefined
 * ```
 */
export function removeAdapter(model: Model, name: string): Model {
  const adapter = model.adapters.get(name);
  if (!adapter) {
    const known = [...model.adapters.keys()].join(", ") || "none";
    throw new UserError(`The model has no adapter "${name}"; it has: ${known}.`);
  }
  const adapters = new Map([...model.adapters].filter(([other]) => other !== name));
  const active = model.active === name ? undefined : model.active, weights = weightsFor(model, active);
  freeAdapter(model, adapter);
  return { ...model, adapters, active, weights };
}

function freeAdapter(model: Model, { parameters, constants, changed }: Adapter): void {
  model.device.free(...parameters.values(), ...constants?.values() ?? []);
  (parameters as Map<string, unknown>).clear();
  if (!changed) return;
  const { weights, before } = changed;
  goAlong(weights);
  freeWeights(model, [...weights].filter(([name, weight]) => before.get(name) !== weight).map(([, w]) => w));
  (weights as Map<string, Weight>).clear();
}
