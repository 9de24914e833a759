// A graph with all sizes known, lowered once: which dispatches over which slots, with what parameters.
import type { Graph, Node, Value } from "../graph.ts";
import { bytesPerElement, elementCount } from "../dtype.ts";
import { byteLength } from "../tensor.ts";
import type { GpuBinding, GpuContext, GpuValue, Kernel } from "./context.ts";
import type { WebGPUDevice } from "./device.ts";
import type { Pipeline } from "./pipelines.ts";

/** Where a value lives: in an input or output of the run, or in scratch space shared over time. */
export type Place = { readonly kind: "input" | "output" | "scratch"; readonly index: number };

export interface PlannedBinding {
  readonly place: Place;
  readonly offset: number;
  readonly size: number;
}

export interface PlannedDispatch extends Pipeline {
  readonly name: string;
  readonly bindings: readonly PlannedBinding[];
  readonly writes: readonly number[];
  /** Offset and size of its parameters in the plan's uniform buffer; undefined without parameters. */
  readonly uniform?: { offset: number; size: number };
  readonly workgroups: readonly [number, number, number];
}

export interface Plan {
  readonly dispatches: readonly PlannedDispatch[];
  /** Sizes in bytes of the scratch slots. */
  readonly scratch: readonly number[];
  /** For each output of the graph: what it is, and where it is written; an input when it is written in place. */
  readonly outputs: readonly { readonly type: GpuValue; readonly place: Place; readonly copyOf?: Place }[];
  readonly parameters: Uint32Array<ArrayBuffer>;
}

export type Sizes = ReadonlyMap<string, number>;

/** Lowers every node once, in order, giving its outputs a place when it runs and taking it back after the last use. */
export function plan(graph: Graph, sizes: Sizes, device: WebGPUDevice): Plan {
  const types = new Map<number, GpuValue>();
  const concrete = (value: Value): GpuValue => {
    let type = types.get(value.id);
    if (!type) types.set(value.id, type = concreteType(value, sizes, device.features.f16));
    return type;
  };
  const last = lastUses(graph);
  const slots = createSlots();
  const places = new Map<GpuValue, Place>();
  const outputs = placeOutputs(graph, concrete, places);
  const uniforms = createUniforms(device.limits.minUniformBufferOffsetAlignment);
  const dispatches: PlannedDispatch[] = [];

  graph.nodes.forEach((node, step) => {
    const overwritten = aliasInPlace(node, step, graph, last, concrete, places);
    const own: GpuValue[] = [];
    const placeOf = (value: GpuValue): Place => {
      let place = places.get(value);
      if (!place) places.set(value, place = slots.take(byteLength(value)));
      return place;
    };
    const context: GpuContext = {
      features: device.features,
      limits: device.limits,
      inputs: node.inputs.map(concrete),
      outputs: node.outputs.map(concrete),
      used: (output) => last.has(node.outputs[output].id),
      temporary(dtype, shape) {
        const value = { dtype, shape };
        own.push(value);
        return value;
      },
      dispatch(kernel, bindings, writes, parameters, [x, y = 1, z = 1]) {
        checkWorkgroups(kernel, [x, y, z], device.limits);
        const planned = bindings.map((binding) => bind(kernel, binding, placeOf, device.limits));
        dispatches.push({
          ...device.pipelines.get(kernel, bindings.length, writes, parameters.length > 0),
          name: kernel.name,
          bindings: planned,
          writes,
          uniform: uniforms.add(parameters),
          workgroups: [x, y, z],
        });
      },
    };
    node.op.webgpu(context, node.attributes);
    // From here on their places belong to the outputs.
    for (const value of overwritten) places.delete(value);
    const finished = [...node.inputs, ...node.outputs].filter(({ id }) => (last.get(id) ?? step) === step);
    for (const value of new Set([...own, ...finished.map(concrete)])) {
      const place = places.get(value);
      if (place?.kind === "scratch") slots.give(place);
      places.delete(value);
    }
  });
  return { dispatches, scratch: slots.sizes, outputs, parameters: uniforms.words() };
}

function concreteType({ dtype, shape }: Value, sizes: Sizes, f16: boolean): GpuValue {
  return {
    dtype: dtype === "f16" && !f16 ? "f32" : dtype,
    shape: shape.map((size) => {
      const known = typeof size === "number" ? size : sizes.get(size);
      if (known === undefined) throw new Error(`webgpu: no input of the graph says how large "${size}" is.`);
      return known;
    }),
  };
}

/** The step after which a value is no longer needed; outputs of the graph are needed for ever. */
function lastUses(graph: Graph): Map<number, number> {
  const last = new Map<number, number>();
  graph.nodes.forEach((node, step) => node.inputs.forEach(({ id }) => last.set(id, step)));
  for (const { id } of graph.outputs.values()) last.set(id, Infinity);
  return last;
}

/** Inputs and outputs of the graph have their places from the start; what is only passed through is copied. */
function placeOutputs(graph: Graph, concrete: (value: Value) => GpuValue, places: Map<GpuValue, Place>) {
  [...graph.inputs.values()].forEach((value, index) => places.set(concrete(value), { kind: "input", index }));
  const inPlace = new Map<number, Value>();
  for (const { op, inputs, outputs } of graph.nodes) {
    for (const [o, i] of Object.entries(op.inPlace ?? {})) inPlace.set(outputs[Number(o)].id, inputs[i]);
  }
  return [...graph.outputs.values()].map((value, index) => {
    let root = value;
    while (inPlace.has(root.id)) root = inPlace.get(root.id)!;
    const type = concrete(value);
    const before = places.get(concrete(root));
    if (before?.kind === "input" && root !== value) return { type, place: before };
    const place: Place = { kind: "output", index };
    if (before) return { type, place, copyOf: before };
    places.set(concrete(root), place);
    places.set(type, place);
    return { type, place };
  });
}

/** Puts the outputs that an op writes in place where the input is, and refuses graphs that read the old value later. */
function aliasInPlace(
  node: Node,
  step: number,
  graph: Graph,
  last: ReadonlyMap<number, number>,
  concrete: (value: Value) => GpuValue,
  places: Map<GpuValue, Place>,
): GpuValue[] {
  return Object.entries(node.op.inPlace ?? {}).map(([o, i]) => {
    const input = node.inputs[i];
    if (last.get(input.id)! > step) {
      const name = [...graph.inputs].find(([, value]) => value === input)?.[0];
      throw new Error(
        `webgpu: ${node.op.name} overwrites its input ${i}${name ? ` (${name})` : ""}, which is read later.`,
      );
    }
    places.set(concrete(node.outputs[Number(o)]), places.get(concrete(input))!);
    return concrete(input);
  });
}

/** Scratch slots: a value takes the smallest free one that fits and is at most twice too large. */
function createSlots() {
  const sizes: number[] = [];
  let free: number[] = [];
  return {
    sizes,
    take(bytes: number): Place {
      const fitting = free.filter((slot) => sizes[slot] >= bytes && sizes[slot] <= 2 * bytes);
      if (fitting.length === 0) return { kind: "scratch", index: sizes.push(bytes) - 1 };
      const index = fitting.reduce((best, slot) => sizes[slot] < sizes[best] ? slot : best);
      free = free.filter((slot) => slot !== index);
      return { kind: "scratch", index };
    },
    give(place: Place) {
      free.push(place.index);
    },
  };
}

/** All parameter structs of a plan behind one another; equal ones are kept once. */
function createUniforms(alignment: number) {
  const offsets = new Map<string, { offset: number; size: number }>();
  const structs: Uint32Array[] = [];
  let end = 0;
  return {
    add(parameters: readonly (number | { f32: number })[]) {
      if (parameters.length === 0) return undefined;
      const words = new Uint32Array(Math.ceil(parameters.length / 4) * 4);
      const floats = new Float32Array(words.buffer);
      parameters.forEach((value, i) => {
        if (typeof value === "number") words[i] = value;
        else floats[i] = value.f32;
      });
      const key = words.join();
      let range = offsets.get(key);
      if (!range) {
        offsets.set(key, range = { offset: end, size: words.byteLength });
        structs.push(words);
        end += Math.ceil(words.byteLength / alignment) * alignment;
      }
      return range;
    },
    words() {
      const all = new Uint32Array(end / 4);
      [...offsets.values()].forEach(({ offset }, i) => all.set(structs[i], offset / 4));
      return all;
    },
  };
}

function bind(
  kernel: Kernel,
  binding: GpuBinding,
  placeOf: (value: GpuValue) => Place,
  limits: GPUSupportedLimits,
): PlannedBinding {
  const { value, offset, length } = "value" in binding
    ? binding
    : { value: binding, offset: 0, length: elementCount(binding.shape) };
  const start = offset * bytesPerElement[value.dtype];
  // Whole vec4s, so that a kernel may read the last one of a tensor; pooled buffers are never shorter.
  const size = Math.ceil(length * bytesPerElement[value.dtype] / 16) * 16;
  if (size > limits.maxStorageBufferBindingSize) {
    throw new Error(
      `webgpu: ${kernel.name} binds ${value.dtype}[${value.shape.join(", ")}] (${size} bytes) at once; ` +
        `the adapter's maxStorageBufferBindingSize is ${limits.maxStorageBufferBindingSize}.`,
    );
  }
  if (start % limits.minStorageBufferOffsetAlignment !== 0) {
    throw new Error(
      `webgpu: ${kernel.name} binds a range that starts at byte ${start}, which is not aligned.`,
    );
  }
  return { place: placeOf(value), offset: start, size };
}

function checkWorkgroups(kernel: Kernel, workgroups: readonly number[], limits: GPUSupportedLimits): void {
  const most = limits.maxComputeWorkgroupsPerDimension;
  if (workgroups.some((count) => !Number.isInteger(count) || count < 1 || count > most)) {
    throw new Error(
      `webgpu: ${kernel.name} asks for ${workgroups.join(" x ")} workgroups (1 to ${most} each).`,
    );
  }
}
