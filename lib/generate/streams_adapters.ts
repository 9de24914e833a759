// Adapters side by side in one, so that answers of all of them and of the base go on in one batch: for each token only its own
// adapter's columns of A's outputs count (Punica and S-LoRA gather A and B by request; at ranks as small as these one product over
// all is as fast, and needs no kernel of its own).
import type { Device } from "../engine/device.ts";
import type { Tensor } from "../engine/tensor.ts";
import { useAdapter } from "../lora.ts";
import type { Adapter, LoRAConfig, Model } from "../models/model.ts";
import { loraScale } from "../models/parameters.ts";
import type { Columns } from "./batch.ts";

/** What answers in one batch: a model, whose one adapter may be several side by side. */
export interface Stack {
  /** Made when it is first asked for. */
  model(): Promise<Model>;
  /** Whether each token counts only columns of its own. */
  readonly choosing: boolean;
}

/** Where each adapter, and for null the base, is. */
export interface Stacks {
  of(adapter: string | null): { readonly stack: Stack; readonly columns: Columns };
  /** Gives back what was made for the stacks. */
  free(): void;
}

interface Part {
  readonly name: string | null;
  readonly adapter?: Adapter;
  readonly columns: Columns;
}

/**
 * Adapters lie side by side up to a quarter of the model's width, which makes a token half as expensive again; more of them,
 * and all of an encoder-decoder's, are stacks of their own, all of one shape, as a program on the CPU holds a copy of the weights.
 * DoRA, trained biases and changed bases (PiSSA, LoftQ) go alone, as they are.
 */
export function adapterStacks(model: Model): Stacks {
  const { device, config } = model, made: Tensor[] = [];
  const plain = [...model.adapters.values()].filter(isPlain);
  const parts = plain.length > 0 ? packed(plain, config.encoderDecoder ? 0 : config.hiddenSize / 4) : [];
  const r = Math.max(0, ...parts.flat().map(({ columns }) => columns[1]));
  const places = new Map<string | null, { stack: Stack; columns: Columns }>();
  const add = (names: readonly Part[], choosing: boolean, make: () => Model | Promise<Model>) => {
    let known: Promise<Model> | undefined;
    const stack = { choosing, model: () => known ??= Promise.resolve(make()) };
    for (const { name, columns } of names) places.set(name, { stack, columns });
  };
  for (const list of parts) {
    const alone = plain.length === 1 && list.some(({ adapter }) => adapter);
    add(list, !config.encoderDecoder, async () => {
      const adapter = alone ? plain[0] : await sideBySide(device, list, { r, of: plain });
      if (!alone) made.push(...adapter.parameters.values());
      return { ...useAdapter(model, undefined), adapters: new Map([["all", adapter]]), active: "all" };
    });
  }
  for (const name of [null, ...model.adapters.keys()]) {
    if (places.has(name)) continue;
    add([{ name, columns: [0, 0] }], false, () => useAdapter(model, name ?? undefined));
  }
  return { of: (adapter) => places.get(adapter)!, free: () => device.free(...made) };
}

const isPlain = ({ config, changed, parameters }: Adapter): boolean =>
  config.bias === "none" && !config.useDora && !changed &&
  [...parameters.keys()].every((name) => /\.lora_[AB]\.weight$/.test(name));

/** The base and the adapters in stacks of at most so many columns, at least one of them in each. */
function packed(adapters: readonly Adapter[], most: number): Part[][] {
  const stacks: Part[][] = [[{ name: null, columns: [0, 0] }]];
  for (const adapter of adapters) {
    const { name, config: { r } } = adapter, [, from] = stacks.at(-1)!.at(-1)!.columns;
    const fits = from + r <= most || (from === 0 && most > 0);
    if (fits) stacks.at(-1)!.push({ name, adapter, columns: [from, from + r] });
    else stacks.push([{ name, adapter, columns: [0, r] }]);
  }
  return stacks;
}

/** One adapter of rank r with all matrices that any of `of` has, zeros where these have none; B takes the scales. */
async function sideBySide(
  device: Device,
  parts: readonly Part[],
  { r, of }: { r: number; of: readonly Adapter[] },
): Promise<Adapter> {
  const shapes = new Map(
    of.flatMap(({ parameters }) => [...parameters].map(([name, { shape }]) => [name, shape])),
  );
  const parameters = new Map<string, Tensor>();
  for (const [name, [rows, columns]] of shapes) {
    const isA = name.includes("lora_A"), width = isA ? columns : r;
    const data = new Float32Array(isA ? r * columns : rows * r);
    for (const { adapter, columns: [from, to] } of parts) {
      const tensor = adapter?.parameters.get(name);
      if (!adapter || !tensor) continue;
      const [values] = await device.read(tensor) as Float32Array[];
      if (isA) data.set(values, from * width);
      else {
        const scale = loraScale(adapter.config), own = to - from;
        values.forEach((value, i) => data[Math.floor(i / own) * r + from + i % own] = scale * value);
      }
    }
    parameters.set(name, device.upload(data, isA ? [r, columns] : [rows, r], "f32"));
  }
  const targetModules = [...new Set(of.flatMap(({ config }) => config.targetModules))];
  const config: LoRAConfig = { ...of[0].config, r, alpha: r, useRslora: false, targetModules };
  return { name: "all", config, parameters };
}
