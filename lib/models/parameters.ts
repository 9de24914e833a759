// Between a model's tensors and the symbolic values of a graph: which inputs a layer has, and what a linear layer does.
import type { Type, Value } from "../engine/graph.ts";
import { add } from "../engine/ops/add.ts";
import { addBias } from "../engine/ops/add_bias.ts";
import { doraScale } from "../engine/ops/dora_scale.ts";
import { dropout } from "../engine/ops/dropout.ts";
import { gatedActivation } from "../engine/ops/gated_activation.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { matmulNF4 } from "../engine/ops/matmul_nf4.ts";
import { nestedAbsmax } from "../engine/ops/nested_absmax.ts";
import { scaleColumns } from "../engine/ops/scale_columns.ts";
import type { Tensor } from "../engine/tensor.ts";
import { activeAdapter, type LoRAConfig, type Model, type Weight } from "./model.ts";

/** The tensors of one weight, as inputs of a graph. */
function weightTensors(name: string, weight: Weight): [string, Tensor][] {
  if (weight.kind === "dense") return [[name, weight.tensor]];
  return [
    [`${name}.codes`, weight.codes],
    ...Object.entries(weight.scales).map(([part, tensor]): [string, Tensor] => [
      `${name}.${part}`,
      tensor,
    ]),
  ];
}

/**
 * All tensors under a prefix ("model.layers.3."), base and adapter, by their names without the prefix. Graphs that are
 * compiled once for all layers take them as inputs under these names.
 */
export function tensorsUnder(model: Model, prefix: string): Record<string, Tensor> {
  const found: Record<string, Tensor> = {};
  for (const [name, weight] of model.weights) {
    if (!name.startsWith(prefix)) continue;
    for (const [input, tensor] of weightTensors(name.slice(prefix.length), weight)) found[input] = tensor;
  }
  // A bias that the adapter has trained stands in for the base's.
  const adapterPrefix = `base_model.model.${prefix}`, adapter = activeAdapter(model);
  for (const [name, tensor] of [...adapter?.parameters ?? [], ...adapter?.constants ?? []]) {
    if (name.startsWith(adapterPrefix)) found[name.slice(adapterPrefix.length)] = tensor;
  }
  return found;
}

/** A weight that is not quantised, under its own name. */
export function denseTensor(model: Model, name: string): Tensor {
  const weight = model.weights.get(name);
  if (weight?.kind !== "dense") throw new Error(`${name} is missing or quantised.`);
  return weight.tensor;
}

export function typesOf(tensors: Readonly<Record<string, Tensor>>): Record<string, Type> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape }]) => [name, { dtype, shape }]),
  );
}

/** Symbolic weights of one layer, by names without the layer's prefix. */
export interface Layer {
  weight(name: string): Value;
  /** The linear layer `name` applied to x, with its LoRA update where the adapter has one. */
  linear(name: string, x: Value): Value;
  /** What DoRA multiplies the layer's outputs with, f32[out]; undefined without DoRA. */
  magnitudes(name: string): Value | undefined;
}

export interface LoRAInputs {
  readonly config: LoRAConfig;
  /** Counters for dropout; absent where nothing is dropped. */
  readonly keys?: { readonly token: Value; readonly layer: Value };
}

export function loraScale({ r, alpha, useRslora }: LoRAConfig): number {
  return alpha / (useRslora ? Math.sqrt(r) : r);
}

/** Every module draws its own dropout bits: a number from its name, the same on every machine. */
function moduleNumber(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/**
 * `values[prefix + name]` is a graph's input for each tensor that `tensorsUnder` names. `bits`: see
 * lib/engine/ops/matmul_nf4.ts.
 */
export function symbolicLayer(
  values: Readonly<Record<string, Value>>,
  prefix: string,
  lora?: LoRAInputs,
  bits?: 4 | 8,
): Layer {
  const optional = (name: string): Value | undefined => values[prefix + name];
  const weight = (name: string): Value => {
    const value = optional(name);
    if (!value) throw new Error(`The graph has no input ${prefix + name}.`);
    return value;
  };
  const product = (name: string, x: Value): Value => {
    const codes = optional(`${name}.weight.codes`);
    if (!codes) return matmul(x, weight(`${name}.weight`), { transB: true, bits });
    const width = x.shape[1] as number;
    const shape = { out: codes.shape[0] as number * 2 / width, in: width };
    const part = (suffix: string) => weight(`${name}.weight.${suffix}`);
    const absmax = optional(`${name}.weight.absmax`) ??
      nestedAbsmax(part("nestedCodes"), part("nestedAbsmax"), part("offset"), part("codebook"));
    return matmulNF4(x, codes, absmax, { ...shape, transB: true, bits });
  };
  const magnitudes = (name: string): Value | undefined => {
    const known = optional(`${name}.dora_scale`), m = optional(`${name}.lora_magnitude_vector`);
    if (known || !m || !lora) return known;
    const a = weight(`${name}.lora_A.weight`), b = weight(`${name}.lora_B.weight`);
    const squares = weight(`${name}.dora_squares`), g = matmul(a, a, { transB: true });
    return doraScale({ m, squares, b, p: product(name, a), g }, { scale: loraScale(lora.config) });
  };
  const linear = (name: string, x: Value): Value => {
    const bias = optional(`${name}.base_layer.bias`) ?? optional(`${name}.bias`);
    const biased = (y: Value) => bias ? addBias(y, bias) : y;
    const a = optional(`${name}.lora_A.weight`);
    if (!a || !lora) return biased(product(name, x));
    const { config, keys } = lora;
    const kept = keys
      ? dropout(x, keys.token, keys.layer, { p: config.dropout, module: moduleNumber(name) })
      : x;
    const all = matmul(kept, a, { transB: true }), b = weight(`${name}.lora_B.weight`);
    // Where a batch has tokens of several adapters: those of its own count, 1 in `counted`.
    const low = values.counted ? gatedActivation(values.counted, all, { kind: "step" }) : all;
    const updated = (c?: Value) => matmul(low, b, { transB: true, alpha: loraScale(config), c });
    const scale = magnitudes(name);
    if (!scale) return updated(biased(product(name, x)));
    if (!keys) return biased(scaleColumns(updated(product(name, x)), scale));
    // PEFT's way with dropout: the base sees all of x, what the magnitude adds to it only what is kept.
    const added = scaleColumns(product(name, kept), scale, { offset: -1 });
    return add(biased(product(name, x)), add(added, scaleColumns(updated(), scale)));
  };
  return { weight, linear, magnitudes };
}
