// What a model is: a configuration, weights on a device, a tokenizer, and any number of adapters over the same base.
import type { Device } from "../engine/device.ts";
import type { Tensor } from "../engine/tensor.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { ModelConfig } from "./config.ts";
import type { GenerationConfig } from "./generation_config.ts";

/** A weight in f32 or f16. */
export interface DenseWeight {
  /** Not quantised. */
  readonly kind: "dense";
  /** The numbers, [out, in] for a linear layer. */
  readonly tensor: Tensor;
}

/** A weight [out, in] in bitsandbytes' NF4; with double quantisation the block scales are themselves 8-bit codes. */
export interface NF4Weight {
  /** Quantised. */
  readonly kind: "nf4";
  /** Of the weight that the codes stand for. */
  readonly shape: readonly [out: number, width: number];
  /** Two codes a byte, u8[out * in / 2]. */
  readonly codes: Tensor;
  /** f32, one for 64 weights; or 8-bit codes of them with their own scales, mean and codebook. */
  readonly scales: { readonly absmax: Tensor } | {
    readonly nestedCodes: Tensor;
    readonly nestedAbsmax: Tensor;
    readonly offset: Tensor;
    readonly codebook: Tensor;
  };
}

/** A weight of either kind. */
export type Weight = DenseWeight | NF4Weight;

/** PEFT's LoraConfig, as far as it is supported. */
export interface LoRAConfig {
  /** Rank of the update. */
  readonly r: number;
  /** PEFT's lora_alpha: the update counts alpha / r (rsLoRA: alpha / sqrt(r)). */
  readonly alpha: number;
  /** Share of A's input that is dropped in training. */
  readonly dropout: number;
  /** The last part of module names, e.g. q_proj. */
  readonly targetModules: readonly string[];
  /** Rank-stabilised scaling. */
  readonly useRslora: boolean;
  /** Which biases of the base are trained too. */
  readonly bias: BiasTraining;
  /** Weight-decomposed: every output has a trained magnitude. */
  readonly useDora: boolean;
  /** How the matrices started. */
  readonly initLoraWeights: LoRAStart;
  /** LoftQ's rounds of quantising and decomposing. */
  readonly loftqIter?: number;
}

/** PEFT's bias: none, all of the model, or those of the adapted layers. */
export type BiasTraining = "none" | "all" | "lora_only";

/**
 * PEFT's init_lora_weights: true (A uniform, B zero), "gaussian" (A normal with deviation 1 / r, B zero), "pissa" (the
 * weight's largest singular directions, which leave the base) or "loftq" (the base becomes NF4, the adapter starts with what
 * that loses).
 */
export type LoRAStart = true | "gaussian" | "pissa" | "loftq";

/** One LoRA adapter: its tensors are f32, named as in PEFT's files. */
export interface Adapter {
  /** Its name among several. */
  readonly name: string;
  /** Its settings. */
  readonly config: LoRAConfig;
  /** What is trained: A [r, in] and B [out, r] of every target module; with DoRA its magnitudes [out]; biases. */
  readonly parameters: ReadonlyMap<string, Tensor>;
  /** What comes along and stays: for DoRA the squared lengths of the rows of the base's weights, [out]. */
  readonly constants?: ReadonlyMap<string, Tensor>;
  /** PiSSA and LoftQ: the base's weights as they have changed them (sharing what they left alone), and as they were. */
  readonly changed?: {
    readonly weights: ReadonlyMap<string, Weight>;
    readonly before: ReadonlyMap<string, Weight>;
  };
}

/** A language model on a device. Functions that change a model return a new one which shares the weights. */
export interface Model {
  /** The folder or id that it was loaded from. */
  readonly name: string;
  /** Sizes and variants. */
  readonly config: ModelConfig;
  /** Where the weights are. */
  readonly device: Device;
  /** By Hugging Face's names; the tied head is not repeated. */
  readonly weights: ReadonlyMap<string, Weight>;
  /** Absent where the folder has none. */
  readonly tokenizer?: Tokenizer;
  /** How answers end and are drawn. */
  readonly generation: GenerationConfig;
  /** Adapters by name, all over the same base. */
  readonly adapters: ReadonlyMap<string, Adapter>;
  /** Name of the adapter in use; undefined: the base alone. */
  readonly active?: string;
  /** Bits of the weights' copies that answers are decoded from on the CPU (see decodeIn). */
  readonly decodeBits?: 4 | 8;
}

/** The adapter in use. */
export function activeAdapter(model: Model): Adapter | undefined {
  return model.active === undefined ? undefined : model.adapters.get(model.active);
}

/** The base's weights as an adapter needs them, or (undefined) as they are without one. */
export function weightsFor(model: Model, name: string | undefined): Model["weights"] {
  const plain = activeAdapter(model)?.changed?.before ?? model.weights;
  return name === undefined ? plain : model.adapters.get(name)?.changed?.weights ?? plain;
}

/** The name of the head's weight: the embedding's where they are tied. */
export function headName(model: Model): string {
  if (model.weights.has("lm_head.weight")) return "lm_head.weight";
  return model.config.encoderDecoder ? "shared.weight" : "model.embed_tokens.weight";
}

/**
 * What is trained, by the name under which files and gradients have it: the adapter's matrices under PEFT's names, or
 * without an adapter every weight of the base.
 */
export function trainableParameters(model: Model): Map<string, Tensor> {
  const adapter = activeAdapter(model);
  if (adapter) return new Map(adapter.parameters);
  return new Map(
    [...model.weights].flatMap(([name, weight]) => weight.kind === "dense" ? [[name, weight.tensor]] : []),
  );
}
