// LoRA (Hu et al. 2021) with PEFT's meaning: which modules get an adapter, how its matrices start, what is trainable.
import { checkModel } from "./arguments.ts";
import type { Tensor } from "./engine/tensor.ts";
import { UserError } from "./errors.ts";
import { rowLengths } from "./lora/dora.ts";
import { adapterShapes, trainedBiases } from "./lora/shapes.ts";
import { changedStart, changesBase, plainStart } from "./lora/starts.ts";
import { countParameters, defaultTargets, loraShapes, type ModelConfig } from "./models/config.ts";
import {
  activeAdapter,
  type Adapter,
  type BiasTraining,
  type LoRAConfig,
  type LoRAStart,
  type Model,
  weightsFor,
} from "./models/model.ts";
import { weightValues } from "./quantize/model.ts";

/** Options of {@linkcode attachLoRA}, by PEFT's names. */
export interface LoRAOptions {
  /** Rank of the update; default 8. */
  r?: number;
  /** PEFT's lora_alpha; default 8. The update counts alpha / r. */
  alpha?: number;
  /** PEFT's lora_dropout, on the input of A; default 0. */
  dropout?: number;
  /** Last parts of module names, or "all-linear" (every linear layer of the blocks); default q_proj and v_proj (T5: q and v). */
  targetModules?: readonly string[] | "all-linear";
  /** Rank-stabilised scaling, alpha / sqrt(r) (Kalajdzievski 2023); default false. */
  useRslora?: boolean;
  /** Train biases of the base too: "all", or "lora_only" for those of the adapted layers; default "none". */
  bias?: BiasTraining;
  /** DoRA (Liu et al. 2024): every output's magnitude is trained apart from its direction; default false. */
  useDora?: boolean;
  /**
   * How the matrices start; default true: A uniform in +-1/sqrt(in) (Kaiming with a = sqrt(5)), B zero. "gaussian": A normal
   * with deviation 1 / r. "pissa" (Meng et al. 2024) and "loftq" (Li et al. 2023, NF4): out of the base's unquantised weights.
   */
  initLoraWeights?: LoRAStart;
  /** Rounds of LoftQ; default 1, as PEFT's. */
  loftqIter?: number;
  /** The adapter's name among several; default "default". */
  name?: string;
  /** Seed of A's random start; default 0. */
  seed?: number;
  /** Do not print the count of trainable parameters. */
  quiet?: boolean;
}

/** Options for which nothing of the base has to be read. */
export interface PlainLoRAOptions extends LoRAOptions {
  /** Only "none". */
  bias?: "none";
  /** Only false. */
  useDora?: false;
  /** Only what leaves the base alone. */
  initLoraWeights?: true | "gaussian";
}

/**
 * Adds a LoRA adapter and makes it the active one. The base is shared with the model passed in, not copied, and B starts at
 * zero, so that the model answers as before.
 *
 * With trained biases, DoRA, PiSSA or LoftQ the base's weights are read first: then `await` it. PiSSA and LoftQ give the model
 * adapted layers of its own (what PiSSA leaves of them, or NF4), which go with that adapter; the old ones are kept for the
 * others and for the base alone. Both decompose every adapted weight, seconds to half a minute each where it has 1,000 to 4,000 rows.
 *
 * Prints the trainable and the total parameters, as PEFT does.
 *
 * @throws UserError for rank 0, an unknown target module, a name that is taken, numbers out of range, PiSSA or LoftQ on
 *   quantised weights, or bias "all" on a T5
 *
 * @example
 * ```ts
 * import { attachLoRA, loadModel } from "@fintune/fintune";
 * const base = await loadModel("tests/reference/llama_tied/model");
 * const model = attachLoRA(base, { r: 4, alpha: 8, targetModules: ["q_proj", "k_proj", "v_proj", "o_proj"] });
 * // trainable params: 3,584 || all params: 85,312 || trainable%: 4.2011
 * const dora = await attachLoRA(base, { r: 4, alpha: 8, useDora: true });
 * ```
 */
export function attachLoRA(model: Model, options?: PlainLoRAOptions): Model;
/** With trained biases, DoRA, PiSSA or LoftQ. */
export function attachLoRA(model: Model, options: LoRAOptions): Promise<Model>;
export function attachLoRA(model: Model, options: LoRAOptions = {}): Model | Promise<Model> {
  checkModel("attachLoRA", model);
  const { name = "default", seed = 0, quiet = false } = options;
  refuseTakenName(model, name);
  const config = checkedConfig(model.config, options);
  const done = (adapted: Model) => {
    if (!quiet) console.log(trainableSummary(adapted));
    return adapted;
  };
  if (changesBase(config)) {
    return changedStart(model, config)
      .then(({ values, weights }) => readAdapter(model, name, config, values, weights)).then(done);
  }
  const values = plainStart(model, config, seed);
  if (config.bias !== "none" || config.useDora) return readAdapter(model, name, config, values).then(done);
  return done(withAdapter(model, { name, config, parameters: uploaded(model, config, values) }));
}

/**
 * The model with an adapter of which the matrices are at hand; magnitudes and biases that are not begin as the base has them.
 *
 * @param changed the base's weights as this adapter has changed them
 */
export async function readAdapter(
  model: Model,
  name: string,
  config: LoRAConfig,
  given: ReadonlyMap<string, Float32Array>,
  changed?: Model["weights"],
): Promise<Model> {
  const { device } = model, values = new Map<string, Float32Array>();
  const before = weightsFor(model, undefined), weights = changed ?? before;
  for (const [own, base] of trainedBiases(model.config, config)) {
    values.set(own, (await weightValues(device, weights.get(base)!)).slice());
  }
  let constants: Map<string, Tensor> | undefined;
  if (config.useDora) {
    const { magnitudes, squares } = await rowLengths({ ...model, weights }, config, given);
    for (const [own, lengths] of magnitudes) values.set(own, lengths);
    constants = new Map([...squares].map(([own, data]) => [own, device.upload(data, [data.length], "f32")]));
  }
  for (const [own, data] of given) values.set(own, data);
  return withAdapter(model, {
    name,
    config,
    parameters: uploaded(model, config, values),
    constants,
    changed: changed && { weights: changed, before },
  });
}

const uploaded = (
  { config, device }: Model,
  lora: LoRAConfig,
  values: ReadonlyMap<string, Float32Array>,
): Map<string, Tensor> =>
  new Map(
    [...adapterShapes(config, lora)].map(([name, shape]) => [
      name,
      device.upload(values.get(name)!, shape, "f32"),
    ]),
  );

/** Options made whole and checked against the model. */
export function checkedConfig(config: ModelConfig, options: LoRAOptions): LoRAConfig {
  const { r = 8, alpha = 8, dropout = 0, useRslora = false, targetModules = defaultTargets(config) } =
    options;
  if (!(alpha > 0 && alpha < Infinity)) throw new UserError(`LoRA's alpha is ${alpha}; it must be above 0.`);
  if (!(dropout >= 0 && dropout < 1)) {
    throw new UserError(`LoRA's dropout is ${dropout}; it must be at least 0 and below 1.`);
  }
  const matrices = [...loraShapes(config, { r, targetModules }).keys()];
  if (matrices.some((name) => name.includes("lm_head"))) {
    throw new UserError(
      "targetModules: an adapter on lm_head is not supported; name linear layers of the blocks.",
    );
  }
  const modules = new Set(matrices.map((name) => name.match(/(\w+)\.lora_/)![1]));
  return {
    r,
    alpha,
    dropout,
    targetModules: targetModules === "all-linear" ? [...modules] : [...targetModules],
    useRslora,
    ...checkedVariant(config, options),
  };
}

const starts: readonly unknown[] = [true, "gaussian", "pissa", "loftq"] satisfies LoRAStart[];
const biases: readonly unknown[] = ["none", "all", "lora_only"] satisfies BiasTraining[];

/** What goes beyond plain LoRA. */
function checkedVariant(
  config: ModelConfig,
  { bias = "none", useDora = false, initLoraWeights = true, loftqIter }: LoRAOptions,
) {
  if (!biases.includes(bias)) {
    throw new UserError(`LoRA's bias is ${JSON.stringify(bias)}; it is "none", "all" or "lora_only".`);
  }
  if (bias === "all" && config.encoderDecoder) {
    throw new UserError(
      "bias: \"all\" would train T5's tables of relative positions, which PEFT counts as biases; that is not supported. T5's " +
        'layers have no biases: leave it at "none".',
    );
  }
  if (!starts.includes(initLoraWeights)) {
    throw new UserError(
      `initLoraWeights ${JSON.stringify(initLoraWeights)} is not supported; it is ${
        starts.map((start) => JSON.stringify(start)).join(", ")
      }.`,
    );
  }
  if (initLoraWeights !== "loftq") return { bias, useDora, initLoraWeights };
  if (loftqIter !== undefined && !(Number.isInteger(loftqIter) && loftqIter > 0)) {
    throw new UserError(`loftqIter is ${loftqIter}; it must be a whole number from 1 on.`);
  }
  return { bias, useDora, initLoraWeights, loftqIter: loftqIter ?? 1 };
}

export function refuseTakenName({ adapters }: Model, name: string): void {
  if (!adapters.has(name)) return;
  throw new UserError(`The model already has an adapter "${name}"; choose another name.`);
}

/** The model with one more adapter, which becomes the active one. */
export function withAdapter(model: Model, adapter: Adapter): Model {
  const weights = adapter.changed?.weights ?? weightsFor(model, undefined);
  const adapters = new Map([...model.adapters, [adapter.name, adapter]]);
  return { ...model, weights, adapters, active: adapter.name };
}

/**
 * The same model with another adapter in use, or with none: the base answers as before it was tuned.
 *
 * @throws UserError for an unknown name
 *
 * @example
 * ```ts
 * import { attachLoRA, loadModel, useAdapter } from "@fintune/fintune";
 * const tuned = attachLoRA(await loadModel("tests/reference/llama_tied/model"), { r: 2, quiet: true });
 * const base = useAdapter(tuned, undefined);
 * console.log(base.active, tuned.active); // undefined default
 * ```
 */
export function useAdapter(model: Model, name: string | undefined): Model {
  if (name !== undefined && !model.adapters.has(name)) {
    const known = [...model.adapters.keys()].join(", ") || "none";
    throw new UserError(`The model has no adapter "${name}"; it has: ${known}.`);
  }
  return { ...model, active: name, weights: weightsFor(model, name) };
}

/** Numbers of trainable and of all parameters, quantised ones counted as the weights that they stand for. */
export function countTrainable(model: Model): { trainable: number; total: number } {
  const base = countParameters(model.config) +
    (untiedBeyondConfig(model) ? model.config.vocabSize * model.config.hiddenSize : 0);
  const adapter = activeAdapter(model);
  if (!adapter) return { trainable: base, total: base };
  let trainable = 0, shared = 0; // trained biases are the base's own, counted once
  for (const [name, { shape }] of adapter.parameters) {
    const size = shape.reduce((product, length) => product * length, 1);
    trainable += size;
    if (!name.includes(".lora_")) shared += size;
  }
  return { trainable, total: base + trainable - shared };
}

const untiedBeyondConfig = (model: Model) =>
  model.config.tieWordEmbeddings && model.weights.has("lm_head.weight");

/** The line that PEFT's print_trainable_parameters prints. */
export function trainableSummary(model: Model): string {
  const { trainable, total } = countTrainable(model);
  const count = (n: number) => n.toLocaleString("en-US");
  return `trainable params: ${count(trainable)} || all params: ${count(total)} || trainable%: ${
    (100 * trainable / total).toFixed(4)
  }`;
}
