// Adapters in one form, so that all of them and the base alone run on one program: on the CPU a program holds a copy of the
// weights, and one for each adapter would be several models' worth of memory.
import type { Tensor } from "../engine/tensor.ts";
import { useAdapter } from "../lora.ts";
import type { Adapter, LoRAConfig, Model } from "../models/model.ts";
import { loraScale } from "../models/parameters.ts";

/** A model for each adapter, and for null: the base. */
export interface AdapterForms {
  of(adapter: string | null): Model;
  /** Gives back what was made for the common form. */
  free(): void;
}

/**
 * Adapters get the largest rank and all of the modules that any of them has, filled with zeros, which change nothing; the
 * base is an adapter of zeros. DoRA, trained biases and changed bases (PiSSA, LoftQ) stay as they are.
 */
export function adapterForms(model: Model): AdapterForms {
  const plain = [...model.adapters.values()].filter(isPlain), made: Tensor[] = [];
  const forms = new Map<string | null, Model>();
  if (plain.length > 0) {
    const common = commonForm(plain), names = new Map(plain.flatMap(shapesOf));
    const zeros = new Map<string, Tensor>(), { device } = model;
    const own = (tensor: Tensor): Tensor => {
      made.push(tensor);
      return tensor;
    };
    const zero = (name: string): Tensor => {
      const [a, b] = names.get(name)!, shape = name.includes("lora_A") ? [common.r, b] : [a, common.r];
      const known = zeros.get(name) ?? own(device.zeros(shape, "f32"));
      zeros.set(name, known);
      return known;
    };
    const formed = (name: string, adapter?: Adapter): Model => {
      const parameters = new Map([...names.keys()].map((name): [string, Tensor] => {
        const tensor = adapter?.parameters.get(name);
        if (!adapter || !tensor) return [name, zero(name)];
        return [name, widened(model, name, tensor, adapter.config, common, own)];
      }));
      return {
        ...useAdapter(model, undefined),
        adapters: new Map([[name, { name, config: common, parameters }]]),
        active: name,
      };
    };
    for (const adapter of plain) forms.set(adapter.name, formed(adapter.name, adapter));
    forms.set(null, formed("base"));
  }
  return {
    of: (adapter) => forms.get(adapter) ?? useAdapter(model, adapter ?? undefined),
    free: () => model.device.free(...made),
  };
}

const isPlain = ({ config, changed, parameters }: Adapter): boolean =>
  config.bias === "none" && !config.useDora && !changed &&
  [...parameters.keys()].every((name) => /\.lora_[AB]\.weight$/.test(name));

const shapesOf = ({ parameters }: Adapter): [string, readonly number[]][] =>
  [...parameters].map(([name, { shape }]) => [name, shape]);

/** The first one's settings, where they fit all: then its matrices, and programs made for it, serve as they are. */
function commonForm(plain: readonly Adapter[]): LoRAConfig {
  const [{ config: first }] = plain, r = Math.max(...plain.map(({ config }) => config.r));
  const targetModules = [...new Set(plain.flatMap(({ config }) => config.targetModules))];
  const fits = r === first.r && targetModules.length === first.targetModules.length;
  return fits ? first : { ...first, r, alpha: loraScale(first) * r, useRslora: false, targetModules };
}

/** The matrix with rank `common.r`; B takes the difference in scale. */
function widened(
  { device }: Model,
  name: string,
  tensor: Tensor,
  config: LoRAConfig,
  common: LoRAConfig,
  own: (tensor: Tensor) => Tensor,
): Tensor {
  const factor = loraScale(config) / loraScale(common), [rows, columns] = tensor.shape;
  if (config.r === common.r && factor === 1) return tensor;
  const from = tensor.storage as Float32Array, isA = name.includes("lora_A");
  const data = new Float32Array(isA ? common.r * columns : rows * common.r);
  for (let row = 0; row < rows; row++) {
    const values = from.subarray(row * columns, (row + 1) * columns);
    data.set(isA ? values : values.map((value) => value * factor), row * (isA ? columns : common.r));
  }
  return own(device.upload(data, isA ? [common.r, columns] : [rows, common.r], "f32"));
}
