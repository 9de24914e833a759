// LoRA (Hu et al. 2021) with PEFT's meaning: which modules get an adapter, how its matrices start, what is trainable.
import { checkModel } from "./arguments.ts";
import { lowbias32 } from "./engine/ops/dropout.ts";
import type { Tensor } from "./engine/tensor.ts";
import { UserError } from "./errors.ts";
import { countParameters, defaultTargets, loraShapes, type ModelConfig } from "./models/config.ts";
import { activeAdapter, type Adapter, type LoRAConfig, type Model } from "./models/model.ts";

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
  /** The adapter's name among several; default "default". */
  name?: string;
  /** Seed of A's random start; default 0. */
  seed?: number;
  /** Do not print the count of trainable parameters. */
  quiet?: boolean;
}

/**
 * Adds a LoRA adapter and makes it the active one. The base is shared with the model passed in, not copied; A starts
 * uniform in +-1/sqrt(in) (Kaiming with a = sqrt(5), as PEFT), B at zero, so that the model answers as before.
 *
 * Prints the trainable and the total parameters, as PEFT does.
 *
 * @throws UserError for rank 0, an unknown target module, a name that is taken, or numbers out of range
 *
 * @example
 * ```ts
 * import { attachLoRA, loadModel } from "@fintune/fintune";
 * const base = await loadModel("tests/reference/llama_tied/model");
 * const model = attachLoRA(base, { r: 4, alpha: 8, targetModules: ["q_proj", "k_proj", "v_proj", "o_proj"] });
 * // trainable params: 3,584 || all params: 85,312 || trainable%: 4.2011
 * ```
 */
export function attachLoRA(model: Model, options: LoRAOptions = {}): Model {
  checkModel("attachLoRA", model);
  const { name = "default", seed = 0, quiet = false } = options;
  refuseTakenName(model, name);
  const config = checkedConfig(model.config, options);
  const parameters = new Map<string, Tensor>();
  for (const [matrix, shape] of loraShapes(model.config, config)) {
    const start = matrix.includes("lora_A")
      ? kaimingUniform(shape, lowbias32(seed) ^ hash(matrix))
      : new Float32Array(shape[0] * shape[1]);
    parameters.set(matrix, model.device.upload(start, shape, "f32"));
  }
  const adapted = withAdapter(model, { name, config, parameters });
  if (!quiet) console.log(trainableSummary(adapted));
  return adapted;
}

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
  };
}

export function refuseTakenName({ adapters }: Model, name: string): void {
  if (adapters.has(name)) {
    throw new UserError(`The model already has an adapter "${name}"; choose another name.`);
  }
}

/** The model with one more adapter, which becomes the active one. */
export function withAdapter(model: Model, adapter: Adapter): Model {
  return { ...model, adapters: new Map([...model.adapters, [adapter.name, adapter]]), active: adapter.name };
}

/**
 * The same model with another adapter in use, or with none: the base answers as before it was tuned.
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
  return { ...model, active: name };
}

/** Numbers of trainable and of all parameters, quantised ones counted as the weights that they stand for. */
export function countTrainable(model: Model): { trainable: number; total: number } {
  const base = countParameters(model.config) +
    (untiedBeyondConfig(model) ? model.config.vocabSize * model.config.hiddenSize : 0);
  const adapter = activeAdapter(model);
  if (!adapter) return { trainable: base, total: base };
  let trainable = 0;
  for (const { shape } of adapter.parameters.values()) trainable += shape[0] * shape[1];
  return { trainable, total: base + trainable };
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

function hash(text: string): number {
  let state = 0;
  for (let i = 0; i < text.length; i++) state = lowbias32(state + text.charCodeAt(i));
  return state;
}

/** Uniform in +-1/sqrt(in): torch's kaiming_uniform_ with a = sqrt(5). */
function kaimingUniform([rows, width]: readonly number[], seed: number): Float32Array {
  const bound = 1 / Math.sqrt(width);
  return Float32Array.from({ length: rows * width }, (_, i) => {
    const random = lowbias32(lowbias32(seed >>> 0) + Math.imul(i, 0x9e3779b9)) / 2 ** 32;
    return (2 * random - 1) * bound;
  });
}
