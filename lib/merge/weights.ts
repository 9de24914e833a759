// Weight by weight from a base and an adapter to the merged model's, in float64 (PEFT: LoraLayer.merge and its variants).
import { UserError } from "../errors.ts";
import { toFloat16 } from "../formats/floats.ts";
import { adaptedModules, prefix, trainedBiases } from "../lora/shapes.ts";
import { addUpdate, squaredLength } from "../lora/update.ts";
import { type Adapter, headName, type Model, type Weight } from "../models/model.ts";
import { loraScale } from "../models/parameters.ts";
import { weightValues } from "../quantize/model.ts";
import type { MergeBase } from "./base.ts";

/** All weights of the merged model, dense; those that nothing was added to are the base's own tensors. */
export async function mergedWeights(
  model: Model,
  adapter: Adapter,
  { weights, giveBack }: MergeBase,
): Promise<Map<string, Weight>> {
  const { device, config } = model, adapted = adaptedModules(config, adapter.config);
  const biases = new Map([...trainedBiases(config, adapter.config)].map(([name, bias]) => [bias, name]));
  const table = model.weights.get(headName(model))!;
  const matrixType = table.kind === "dense" ? table.tensor.dtype : "f32";
  const read = async (name: string) => (await device.read(adapter.parameters.get(name)!))[0] as Float32Array;
  const merged = new Map<string, Weight>();
  for (const name of [...weights.keys()]) {
    const weight = weights.get(name)!, module = name.replace(/\.weight$/, ""), bias = biases.get(name);
    if (!bias && !adapted.has(module) && weight.kind === "dense") {
      merged.set(name, weight);
      continue;
    }
    const { shape, dtype } = weight.kind === "dense"
      ? weight.tensor
      : { shape: weight.shape, dtype: matrixType };
    const values = bias
      ? (await read(bias)).slice()
      : adapted.has(module)
      ? withAdapter(await weightValues(device, weight), shape[1], await updateOf(adapter, module, read))
      : (await weightValues(device, weight)).slice();
    checkFinite(name, values);
    const numbers = dtype === "f16" ? new Uint16Array(toFloat16(values).buffer) : values;
    merged.set(name, { kind: "dense", tensor: device.upload(numbers, shape, dtype) });
    giveBack(name, weight);
  }
  return merged;
}

interface Update {
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly scale: number;
  /** DoRA's. */
  readonly magnitudes?: Float32Array;
}

async function updateOf(
  { config }: Adapter,
  module: string,
  read: (name: string) => Promise<Float32Array>,
): Promise<Update> {
  const name = (part: string) => `${prefix}${module}.${part}`;
  return {
    a: await read(name("lora_A.weight")),
    b: await read(name("lora_B.weight")),
    scale: loraScale(config),
    magnitudes: config.useDora ? await read(name("lora_magnitude_vector")) : undefined,
  };
}

/** W + scale B A; with DoRA every row of that stretched to its magnitude. */
function withAdapter(base: Float32Array, columns: number, update: Update): Float32Array {
  const merged = new Float32Array(base.length), row = new Float64Array(columns), { magnitudes } = update;
  for (let i = 0; i * columns < base.length; i++) {
    row.set(base.subarray(i * columns, (i + 1) * columns));
    addUpdate(row, i, update);
    if (magnitudes) {
      const stretch = magnitudes[i] / Math.sqrt(squaredLength(row));
      for (let j = 0; j < columns; j++) row[j] *= stretch;
    }
    merged.set(row, i * columns);
  }
  return merged;
}

/** A broken adapter must not become a model that answers with nothing. */
function checkFinite(name: string, values: Float32Array): void {
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    throw new UserError(
      `${name} is not finite once merged: the adapter is broken (its training has failed).`,
    );
  }
}
