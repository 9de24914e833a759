// Which weights an adapter is merged into, and whose they are.
import { UserError } from "../errors.ts";
import { changedStart } from "../lora/starts.ts";
import { loadModel } from "../models/load.ts";
import type { Adapter, Model, Weight } from "../models/model.ts";

/** Weights to merge into. */
export interface MergeBase {
  readonly weights: ReadonlyMap<string, Weight>;
  /** Called with every weight that a merged one has taken the place of. */
  giveBack(name: string, weight: Weight): void;
}

interface Wishes {
  readonly into?: "original" | "dequantized";
  readonly original?: Model;
  readonly keep: boolean;
}

const isDense = (weights: ReadonlyMap<string, Weight>): boolean =>
  [...weights.values()].every(({ kind }) => kind === "dense");

/** The base that was asked for; whatever speaks against it is said before anything is changed. */
export async function chooseBase(model: Model, adapter: Adapter, wishes: Wishes): Promise<MergeBase> {
  const { original, keep } = wishes;
  const into = wishes.into ?? (original || isDense(model.weights) ? "original" : "dequantized");
  if (into !== "original" && into !== "dequantized") {
    throw new UserError(`mergeAdapter: into is ${JSON.stringify(into)}; it is "original" or "dequantized".`);
  }
  if (original && into === "dequantized") {
    throw new UserError('mergeAdapter: `original` is for into: "original"; leave out one of the two.');
  }
  const own = { weights: model.weights, giveBack: keep ? () => {} : freeing(model) };
  if (into === "dequantized" || (!original && isDense(model.weights))) return own;
  if (adapter.config.initLoraWeights === "loftq") {
    throw new UserError(
      "A LoftQ adapter begins with what quantising lost, which the original weights still have: merge it into " +
        '"dequantized", the base that it goes with.',
    );
  }
  return await originalBase(model, adapter, original);
}

/** Gives weights back at once: those of a model that nobody wants any longer. */
const freeing = (model: Model) => (name: string, weight: Weight): void => {
  const tensors = weight.kind === "dense" ? [weight.tensor] : [weight.codes, ...Object.values(weight.scales)];
  model.device.free(...tensors);
  forget(model, name, weight);
};

/** Takes a weight out of a model and of what its adapters have made of the base, which share it. */
export function forget({ weights, adapters }: Model, name: string, weight: Weight): void {
  const changed = [...adapters.values()].flatMap(({ changed }) =>
    changed ? [changed.weights, changed.before] : []
  );
  for (const map of [weights, ...changed] as Map<string, Weight>[]) {
    if (map.get(name) === weight) map.delete(name);
  }
}

async function originalBase(model: Model, adapter: Adapter, given?: Model): Promise<MergeBase> {
  const kept = adapter.changed && isDense(adapter.changed.before)
    ? { ...model, weights: adapter.changed.before }
    : undefined;
  const original = given ?? kept ?? await loadAgain(model),
    isLoaded = original !== given && original !== kept;
  checkFits(model, original);
  const plain = { ...original, adapters: new Map(), active: undefined };
  const giveBack = isLoaded ? freeing(plain) : () => {};
  if (adapter.config.initLoraWeights !== "pissa") return { weights: plain.weights, giveBack };
  // What PiSSA's start has left of the original, as loadAdapter would make it.
  const residual = { ...plain, weights: (await changedStart(plain, adapter.config)).weights };
  const freeResidual = freeing(residual);
  return {
    weights: residual.weights,
    giveBack(name, weight) {
      const before = plain.weights.get(name);
      if (before && before !== weight) giveBack(name, before);
      if (before !== weight) freeResidual(name, weight);
      else giveBack(name, weight);
    },
  };
}

async function loadAgain({ name, device }: Model): Promise<Model> {
  try {
    return await loadModel(name, { device, quiet: true });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      `mergeAdapter into "original" loads ${name} again, unquantised, which failed (${error.message}) Pass that model as ` +
        "{ original }.",
    );
  }
}

/** Dense, on the same device, and of the same sizes. */
function checkFits(model: Model, original: Model): void {
  const fail = (problem: string) => {
    throw new UserError(`mergeAdapter: the original, ${original.name}, ${problem}.`);
  };
  if (!isDense(original.weights)) {
    fail(
      'is quantised itself: pass the model that it was made from as { original }, or merge into "dequantized"',
    );
  }
  if (original.device !== model.device) fail("is on another device: load it with { device: model.device }");
  const missing = [...model.weights.keys()].find((name) => !original.weights.has(name));
  if (missing) fail(`has no ${missing}: it is another model`);
  for (const [name, weight] of original.weights) {
    const own = model.weights.get(name);
    if (!own) fail(`has ${name}, which the tuned model has not: it is another model`);
    const [shape, expected] = [weight, own!].map((w) => w.kind === "dense" ? w.tensor.shape : w.shape);
    if (shape.join() !== expected.join()) {
      fail(`has ${name} as [${shape}], the tuned model as [${expected}]: it is another model`);
    }
  }
}
