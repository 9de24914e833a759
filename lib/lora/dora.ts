// DoRA's share of an adapter (Liu et al. 2024, arXiv:2402.09353): magnitudes at the start, the squared lengths of the base's
// rows, and for generation the ready factors, which no token has to compute again.
import type { Tensor } from "../engine/tensor.ts";
import type { Type } from "../engine/graph.ts";
import { trace } from "../engine/trace.ts";
import { activeAdapter, type LoRAConfig, type Model } from "../models/model.ts";
import { loraScale, symbolicLayer, tensorsUnder, typesOf } from "../models/parameters.ts";
import { weightValues } from "../quantize/model.ts";
import { compiled, signature } from "../train/programs.ts";
import { adaptedModules, prefix } from "./shapes.ts";
import { addUpdate, squaredLength } from "./update.ts";

/** |W + scale B A| and |W|^2, row by row, of every adapted module. */
export async function rowLengths(
  { config, device, weights }: Model,
  lora: LoRAConfig,
  matrices: ReadonlyMap<string, Float32Array>,
): Promise<{ magnitudes: Map<string, Float32Array>; squares: Map<string, Float32Array> }> {
  const magnitudes = new Map<string, Float32Array>(), squares = new Map<string, Float32Array>();
  const scale = loraScale(lora), { r } = lora;
  for (const module of adaptedModules(config, lora)) {
    const data = await weightValues(device, weights.get(`${module}.weight`)!);
    const a = matrices.get(`${prefix}${module}.lora_A.weight`)!;
    const b = matrices.get(`${prefix}${module}.lora_B.weight`)!;
    const rows = b.length / r, columns = a.length / r;
    const lengths = new Float32Array(rows), own = new Float32Array(rows), row = new Float64Array(columns);
    for (let i = 0; i < rows; i++) {
      row.set(data.subarray(i * columns, (i + 1) * columns));
      own[i] = squaredLength(row);
      addUpdate(row, i, { a, b, scale });
      lengths[i] = Math.sqrt(squaredLength(row));
    }
    magnitudes.set(`${prefix}${module}.lora_magnitude_vector`, lengths);
    squares.set(`${prefix}${module}.dora_squares`, own);
  }
  return { magnitudes, squares };
}

/**
 * The model with each magnitude replaced by what the outputs are multiplied with, as long as no matrix changes. `free` gives
 * these tensors back. Without DoRA it is the model itself.
 */
export async function withReadyMagnitudes(model: Model): Promise<{ model: Model; free(): void }> {
  const adapter = activeAdapter(model), { device } = model;
  if (!adapter?.config.useDora) return { model, free: () => {} };
  const ready = new Map<string, Tensor>(), { config } = adapter;
  for (const module of adaptedModules(model.config, config)) {
    const tensors = tensorsUnder(model, `${module}.`);
    const named = Object.fromEntries(Object.entries(tensors).map(([name, t]) => [`module.${name}`, t]));
    const program = await compiled(
      device,
      `dora ${loraScale(config)} ${signature(named)}`,
      () =>
        trace<Record<string, Type>>(typesOf(named), (values) => {
          const { magnitudes } = symbolicLayer(values, "", { config });
          return { scale: magnitudes("module")! };
        }),
      { light: true },
    );
    ready.set(`${prefix}${module}.dora_scale`, (await program.run(named)).scale);
  }
  const isMatrix = (name: string) => !name.endsWith("lora_magnitude_vector");
  const parameters = new Map([...adapter.parameters].filter(([name]) => isMatrix(name)));
  const adapters = new Map(model.adapters).set(adapter.name, { ...adapter, parameters, constants: ready });
  return { model: { ...model, adapters }, free: () => device.free(...ready.values()) };
}
