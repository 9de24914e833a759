// The tensors that a configuration implies, by Hugging Face's and PEFT's names: counts need no weights.

import { UserError } from "../errors.ts";
import type { ModelConfig } from "./config_types.ts";
import { t5LinearShapes, t5Shapes } from "./t5_config.ts";

/** A linear layer y = W x + b. */
export interface LinearModule {
  /** Width of x. */
  inFeatures: number;
  /** Width of y. */
  outFeatures: number;
  /** Whether there is a b. */
  bias: boolean;
}

/**
 * Every linear layer by its module's name ("model.layers.0.self_attn.q_proj", ... and "lm_head"), in the order of the
 * forward pass. The head is listed whether or not it is tied.
 */
export function linearModules(config: ModelConfig): Map<string, LinearModule> {
  const modules = new Map<string, LinearModule>();
  if (config.encoderDecoder) {
    for (const [name, [outFeatures, inFeatures]] of t5LinearShapes(config)) {
      modules.set(name, { inFeatures, outFeatures, bias: false });
    }
    return modules;
  }
  const { hiddenSize: hidden, intermediateSize: inner, headDim } = config;
  const queries = config.numAttentionHeads * headDim, keys = config.numKeyValueHeads * headDim;
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const put = (name: string, inFeatures: number, outFeatures: number, bias: boolean) =>
      modules.set(`model.layers.${layer}.${name}`, { inFeatures, outFeatures, bias });
    put("self_attn.q_proj", hidden, queries, config.attentionBias);
    put("self_attn.k_proj", hidden, keys, config.attentionBias);
    put("self_attn.v_proj", hidden, keys, config.attentionBias);
    put("self_attn.o_proj", queries, hidden, config.attentionOutputBias);
    put("mlp.gate_proj", hidden, inner, config.mlpBias);
    put("mlp.up_proj", hidden, inner, config.mlpBias);
    put("mlp.down_proj", inner, hidden, config.mlpBias);
  }
  return modules.set("lm_head", { inFeatures: hidden, outFeatures: config.vocabSize, bias: false });
}

/**
 * The shapes of all weights of a model, by their names in Hugging Face's files. A tied head is not repeated.
 *
 * @param config from {@linkcode parseConfig}
 */
export function parameterShapes(config: ModelConfig): Map<string, number[]> {
  if (config.encoderDecoder) return t5Shapes(config);
  const shapes = new Map<string, number[]>();
  shapes.set("model.embed_tokens.weight", [config.vocabSize, config.hiddenSize]);
  for (const [name, { inFeatures, outFeatures, bias }] of linearModules(config)) {
    if (name === "lm_head") continue;
    shapes.set(`${name}.weight`, [outFeatures, inFeatures]);
    if (bias) shapes.set(`${name}.bias`, [outFeatures]);
  }
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    shapes.set(`model.layers.${layer}.input_layernorm.weight`, [config.hiddenSize]);
    shapes.set(`model.layers.${layer}.post_attention_layernorm.weight`, [config.hiddenSize]);
    for (const part of config.qkNorm ? "qk" : "") {
      shapes.set(`model.layers.${layer}.self_attn.${part}_norm.weight`, [config.headDim]);
    }
  }
  shapes.set("model.norm.weight", [config.hiddenSize]);
  if (!config.tieWordEmbeddings) shapes.set("lm_head.weight", [config.vocabSize, config.hiddenSize]);
  return shapes;
}

/**
 * Number of parameters of a model, each counted once.
 *
 * @param config from {@linkcode parseConfig}
 */
export function countParameters(config: ModelConfig): number {
  return total(parameterShapes(config));
}

/** What LoRA adapts where nobody says: PEFT's choice for the family. */
export const defaultTargets = ({ encoderDecoder }: ModelConfig): readonly string[] =>
  encoderDecoder ? ["q", "v"] : ["q_proj", "v_proj"];

/** Which matrices {@linkcode loraShapes} is about. */
export interface LoRASize {
  /** Rank of the update: a whole number from 1 on. */
  r: number;
  /** Module names or their last parts ("q_proj"); "all-linear": every linear layer but the head. */
  targetModules: readonly string[] | "all-linear";
}

/**
 * The shapes of the matrices that LoRA (Hu et al. 2021, arXiv:2106.09685) adds, by PEFT's names: A is [r, in], B [out, r].
 *
 * @param config from {@linkcode parseConfig}
 * @throws UserError when r is not a whole number from 1 on, or a target names no linear layer
 */
export function loraShapes(config: ModelConfig, { r, targetModules }: LoRASize): Map<string, number[]> {
  if (!Number.isSafeInteger(r) || r < 1) {
    throw new UserError(`LoRA's rank r must be a whole number from 1 on, not ${r}.`);
  }
  const modules = linearModules(config);
  const shapes = new Map<string, number[]>();
  const isTarget = matcher([...modules.keys()], targetModules);
  for (const [name, { inFeatures, outFeatures }] of modules) {
    if (!isTarget(name)) continue;
    shapes.set(`base_model.model.${name}.lora_A.weight`, [r, inFeatures]);
    shapes.set(`base_model.model.${name}.lora_B.weight`, [outFeatures, r]);
  }
  return shapes;
}

/**
 * Number of trainable parameters of a LoRA adapter.
 *
 * @param config from {@linkcode parseConfig}
 * @param size rank and target modules
 * @throws UserError as {@linkcode loraShapes}
 */
export function countLoRA(config: ModelConfig, size: LoRASize): number {
  return total(loraShapes(config, size));
}

function matcher(modules: string[], targets: LoRASize["targetModules"]): (module: string) => boolean {
  if (targets === "all-linear") return (module) => module !== "lm_head";
  const matches = (module: string, target: string) => module === target || module.endsWith(`.${target}`);
  if (targets.length === 0) throw new UserError("LoRA needs at least one target module.");
  for (const target of targets) {
    if (modules.some((module) => matches(module, target))) continue;
    const names = modules.filter((module) => module !== "lm_head").map((module) => module.split(".").at(-1));
    const known = [...new Set(names)].join(", ");
    throw new UserError(`target module "${target}" names no linear layer of this model, which has ${known}.`);
  }
  return (module) => targets.some((target) => matches(module, target));
}

function total(shapes: Map<string, number[]>): number {
  let count = 0;
  for (const shape of shapes.values()) count += shape.reduce((product, size) => product * size, 1);
  return count;
}
