// Which tensors an adapter has, by PEFT's names: LoRA's matrices, DoRA's magnitudes, trained biases.
import { linearModules, loraShapes, type ModelConfig, parameterShapes } from "../models/config.ts";
import type { LoRAConfig } from "../models/model.ts";

/** PEFT puts this before the base's names. */
export const prefix = "base_model.model.";

/** The adapted modules ("model.layers.0.self_attn.q_proj"), in the order of the forward pass. */
export function adaptedModules(
  config: ModelConfig,
  lora: Pick<LoRAConfig, "r" | "targetModules">,
): Set<string> {
  const names = [...loraShapes(config, lora).keys()];
  return new Set(names.map((name) => name.slice(prefix.length, name.indexOf(".lora_"))));
}

/** Everything that is trained. */
export function adapterShapes(config: ModelConfig, lora: LoRAConfig): Map<string, number[]> {
  const shapes = loraShapes(config, lora), adapted = adaptedModules(config, lora);
  for (const [module, { outFeatures }] of linearModules(config)) {
    if (lora.useDora && adapted.has(module)) {
      shapes.set(`${prefix}${module}.lora_magnitude_vector`, [outFeatures]);
    }
  }
  for (const [name, bias] of trainedBiases(config, lora)) {
    shapes.set(name, parameterShapes(config).get(bias)!);
  }
  return shapes;
}

/** PEFT's name of every bias that is trained -> the base's: PEFT wraps the adapted layers, which shows in the name. */
export function trainedBiases(config: ModelConfig, lora: LoRAConfig): Map<string, string> {
  const names = new Map<string, string>();
  if (lora.bias === "none") return names;
  const adapted = adaptedModules(config, lora);
  for (const [module, { bias }] of linearModules(config)) {
    if (!bias || (lora.bias === "lora_only" && !adapted.has(module))) continue;
    names.set(`${prefix}${module}.${adapted.has(module) ? "base_layer.bias" : "bias"}`, `${module}.bias`);
  }
  return names;
}
