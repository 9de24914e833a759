// A graph as a program on the CPU: one onnxruntime session, fed with typed arrays.
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { bindSizes } from "../bind.ts";
import { allocate, type DType, elementCount, type TypedArray } from "../dtype.ts";
import type { Graph } from "../graph.ts";
import type { Tensor } from "../tensor.ts";
import { lowerToOnnx } from "./lower.ts";
import { loadOnnxRuntime } from "./runtime.ts";

export interface CpuProgram {
  run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
  close(): void;
}

export interface CpuSettings {
  threads: number;
  /** Inputs whose content never changes: lowerings may build other forms of them into the model. */
  constants?: Readonly<Record<string, Tensor>>;
}

const ortTypes: Record<DType, OrtTensor.Type> = { f32: "float32", f16: "float16", i32: "int32", u8: "uint8" };

export async function compileOnnx(graph: Graph, settings: CpuSettings): Promise<CpuProgram> {
  const ort = await loadOnnxRuntime();
  const { model, hostInputs, inputs: read, outputs, external } = lowerToOnnx(graph, settings.constants);
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["cpu"],
    intraOpNumThreads: settings.threads,
    interOpNumThreads: 1,
    // A pattern is planned for one set of sizes beside what the arena already holds: 2 GB more for a whole model.
    enableMemPattern: false,
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
    externalData: external,
    // Threads that wait actively save a tenth of a step and a quarter of a decoded token; a program has thousands of nodes.
    extra: { session: { intra_op: { allow_spinning: "1" } } },
  } as InferenceSession.SessionOptions);
  const nameOf = new Map([...graph.inputs].map(([name, { id }]) => [id, name]));
  const scratch = hostInputs.map(({ dtype, shape }) => allocate(dtype, elementCount(shape)));
  // Weights come again in every run: their wrappers are kept.
  const wrappers = new WeakMap<TypedArray, OrtTensor>();
  const wrap = (dtype: DType, data: TypedArray, shape: readonly number[]): OrtTensor => {
    const known = wrappers.get(data);
    if (
      known && known.dims.length === shape.length && known.dims.every((size, axis) => size === shape[axis])
    ) return known;
    const made = new ort.Tensor(ortTypes[dtype], data as Float32Array, shape);
    wrappers.set(data, made);
    return made;
  };

  const run = async (inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> => {
    const feeds: Record<string, OrtTensor> = {};
    bindSizes(graph, inputs);
    for (const [name, tensor] of Object.entries(inputs)) {
      if (read.has(name)) feeds[name] = wrap(tensor.dtype, tensor.storage as TypedArray, tensor.shape);
    }
    hostInputs.forEach(({ name, dtype, shape, from, compute }, i) => {
      compute(from.map(({ id }) => inputs[nameOf.get(id)!].storage as TypedArray), scratch[i]);
      feeds[name] = wrap(dtype, scratch[i], shape);
    });
    const results = await session.run(feeds);
    return Object.fromEntries([...graph.outputs].map(([name, { dtype }]) => {
      const { data, dims } = results[outputs.get(name)!];
      return [name, { dtype, shape: dims, storage: data as TypedArray }];
    }));
  };

  // onnxruntime starts a run a turn of the event loop later: another must not fill the scratch arrays in between.
  let previous: Promise<unknown> = Promise.resolve();
  return {
    run(inputs) {
      const result = previous.then(() => run(inputs));
      previous = result.then(() => {}, () => {}); // without its value, which may be large
      return result;
    },
    close: () => void session.release(),
  };
}
