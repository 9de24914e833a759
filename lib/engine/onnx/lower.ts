// A graph becomes an ONNX model: every op adds its nodes through the context made here.
import type { TypedArray } from "../dtype.ts";
import type { Graph, Node, Value } from "../graph.ts";
import type { OnnxAttribute, OnnxBody, OnnxContext, OnnxDType } from "./context.ts";
import type { Tensor } from "../tensor.ts";
import {
  elementType,
  externalTensorProto,
  graphProto,
  modelProto,
  nodeProto,
  type ProtoAttribute,
  tensorProto,
} from "./proto.ts";

/** An input of the session that JavaScript fills from inputs of the program. */
export interface HostInput {
  readonly name: string;
  readonly dtype: "f32";
  readonly shape: readonly number[];
  readonly from: readonly Value[];
  readonly compute: (inputs: TypedArray[], into: TypedArray) => void;
}

export interface LoweredGraph {
  readonly model: Uint8Array;
  readonly hostInputs: readonly HostInput[];
  /** Names of the program's inputs that the model still reads. */
  readonly inputs: ReadonlySet<string>;
  /** What the program's outputs are called in the model. */
  readonly outputs: ReadonlyMap<string, string>;
  /** Large constants, by the name of the file that the model believes them to be in. */
  readonly external: readonly { path: string; data: Uint8Array }[];
}

type Bytes = Uint8Array<ArrayBuffer>;
type ConstantType = "f32" | "i32" | "i64" | "u32";

/** Initializers are written once for equal content; names are unique over all graphs of the model and their bodies. */
interface Shared {
  counter: number;
  readonly initializers: Map<string, { name: string; bytes: Bytes }>;
  readonly hostInputs: Map<string, HostInput>;
  readonly external: { path: string; data: Uint8Array; proto: Bytes }[];
  readonly read: Set<string>;
}

/** What lowerings see of the graph that their op is in. */
interface Surroundings {
  readonly constants: ReadonlyMap<number, TypedArray>;
  readonly used: ReadonlySet<number>;
  readonly graph: readonly Node[];
  /** What values are called in the model. */
  readonly names: Map<number, string>;
  /** By their names in the model. */
  readonly inputs: readonly (readonly [string, Value])[];
}

type Bodies = Map<OnnxBody, Bytes[]>;

const arrays = { f32: Float32Array, i32: Int32Array, i64: BigInt64Array, u32: Uint32Array };

function constant(shared: Shared, dtype: ConstantType, value: number | readonly number[]): string {
  const list = typeof value === "number" ? [value] : value;
  const data = dtype === "i64"
    ? BigInt64Array.from(list, BigInt)
    : arrays[dtype].from(list as number[]) as Float32Array;
  const shape = typeof value === "number" ? [] : [list.length];
  const key = `${dtype} ${shape} ${list}`;
  let found = shared.initializers.get(key);
  if (!found) {
    const name = `constant_${shared.counter++}`;
    found = { name, bytes: tensorProto(name, dtype, shape, new Uint8Array(data.buffer)) };
    shared.initializers.set(key, found);
  }
  return found.name;
}

function attributeProto(
  value: OnnxAttribute,
  shared: Shared,
  bodies: Bodies,
): ProtoAttribute {
  if (typeof value !== "object" || !("context" in value)) {
    return typeof value === "string" && value in elementType
      ? elementType[value as OnnxDType]
      : value as ProtoAttribute;
  }
  const name = `body_${shared.counter++}`;
  return {
    graph: graphProto({
      name,
      nodes: bodies.get(value)!,
      initializers: [],
      inputs: value.inputs,
      outputs: value.outputs,
    }),
  };
}

function makeContext(shared: Shared, around: Surroundings, sink: Bytes[], bodies: Bodies): OnnxContext {
  const i64 = (value: number | readonly number[]) => constant(shared, "i64", value);
  const nodes = (
    type: string,
    inputs: readonly string[],
    count: number,
    attributes: Record<string, OnnxAttribute> = {},
    name?: string,
  ) => {
    const fresh = () => `${type.replace("ms.", "")}_${shared.counter++}`;
    const outputs = Array.from({ length: count }, () => name ?? fresh());
    const protos = Object.fromEntries(
      Object.entries(attributes).map(([key, value]) => [key, attributeProto(value, shared, bodies)]),
    );
    inputs.forEach((name) => shared.read.add(name));
    sink.push(nodeProto({ type, inputs, outputs, attributes: protos }));
    return outputs;
  };
  return {
    nodes,
    node: (type, inputs, attributes, name) => nodes(type, inputs, 1, attributes, name)[0],
    f32: (value) => constant(shared, "f32", value),
    i64,
    size(dim) {
      if (typeof dim === "number") return i64([dim]);
      const [name, { shape }] = around.inputs.find(([, { shape }]) => shape.includes(dim))!;
      const axis = shape.indexOf(dim);
      return nodes("Shape", [name], 1, { start: axis, end: axis + 1 })[0];
    },
    i32: (value) => constant(shared, "i32", value),
    u32: (value) => constant(shared, "u32", value),
    fresh: (hint) => `${hint}_${shared.counter++}`,
    used: (value) => around.used.has(value.id),
    named: ({ id }) => around.names.get(id),
    provide: ({ id }, name) => void around.names.set(id, name),
    graph: around.graph,
    constant: ({ id }) => around.constants.get(id),
    initializer(hint, dtype, shape, data) {
      const path = `${hint}_${shared.counter++}`;
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      shared.external.push({
        path,
        data: bytes,
        proto: externalTensorProto(path, dtype, shape, bytes.length),
      });
      return path;
    },
    body() {
      const inner: Bytes[] = [];
      const body = { context: makeContext(shared, around, inner, bodies), inputs: [], outputs: [] };
      bodies.set(body, inner);
      return body;
    },
    host(key, { shape }, from, compute) {
      const name = `host ${key}`;
      shared.hostInputs.set(key, { name, dtype: "f32", shape: shape as number[], from, compute });
      return name;
    },
  };
}

/** Which values anybody reads, given that some inputs of some ops are not read on this backend. */
function usedValues(graph: Graph): Set<number> {
  const used = new Set([...graph.outputs.values()].map((value) => value.id));
  for (const { op, inputs, outputs } of graph.nodes.toReversed()) {
    if (!outputs.some((output) => used.has(output.id))) continue;
    inputs.forEach((input, i) => op.onnxIgnores?.includes(i) || used.add(input.id));
  }
  return used;
}

/** Lowerings that take the place of the ops' own. */
export type Lowerings = ReadonlyMap<Node["op"], Node["op"]["onnx"]>;

export interface AddOptions {
  /** What the graph's inputs are called in the model, where not by their own names. */
  readonly names?: Readonly<Record<string, string>>;
  /** Inputs, by name, whose content lowerings may build in. */
  readonly constants?: Readonly<Record<string, Tensor>>;
  readonly lowerings?: Lowerings;
  /** A loop's or a branch's body that the nodes go into. */
  readonly body?: OnnxBody;
}

/** A model in the making, of any number of graphs and of nodes between them. */
export interface OnnxDraft {
  /** For nodes of one's own. */
  readonly context: OnnxContext;
  /** What has been added so far. */
  readonly nodes: readonly Bytes[];
  readonly shared: Readonly<Shared>;
  /** Adds a graph's nodes; returns its outputs' names in the model. */
  add(graph: Graph, options?: AddOptions): Map<string, string>;
  /** Gives a value a name of its own, as an output of the model. */
  output(value: string, name: string): void;
}

export function openDraft(): OnnxDraft {
  const shared: Shared = {
    counter: 0,
    initializers: new Map(),
    hostInputs: new Map(),
    external: [],
    read: new Set(),
  };
  const sink: Bytes[] = [], bodies: Bodies = new Map();
  const nowhere: Surroundings = {
    constants: new Map(),
    used: new Set(),
    graph: [],
    names: new Map(),
    inputs: [],
  };
  return {
    context: makeContext(shared, nowhere, sink, bodies),
    nodes: sink,
    shared,
    add(graph, { names = {}, constants = {}, lowerings, body } = {}) {
      const used = usedValues(graph);
      const live = graph.nodes.filter(({ outputs }) => outputs.some(({ id }) => used.has(id)));
      const contents = Object.entries(constants).map(([name, { storage }]): [number, TypedArray] => [
        graph.inputs.get(name)!.id,
        storage as TypedArray,
      ]);
      const inputs = [...graph.inputs].map(([name, value]) => [names[name] ?? name, value] as const);
      const nameOf = new Map(inputs.map(([name, { id }]) => [id, name]));
      const around = { constants: new Map(contents), used, graph: live, names: nameOf, inputs };
      const context = makeContext(shared, around, body ? bodies.get(body)! : sink, bodies);
      for (const node of live) {
        if (node.outputs.every(({ id }) => nameOf.has(id) || !used.has(id))) continue; // provided
        const lower = lowerings?.get(node.op) ?? node.op.onnx;
        const results = lower(context, node.inputs.map(({ id }) => nameOf.get(id) ?? ""), node);
        node.outputs.forEach(({ id }, i) => results[i] !== undefined && nameOf.set(id, results[i]!));
      }
      return new Map([...graph.outputs].map(([name, { id }]) => [name, nameOf.get(id)!]));
    },
    output(value, name) {
      shared.read.add(value);
      sink.push(nodeProto({ type: "Identity", inputs: [value], outputs: [name], attributes: {} }));
    },
  };
}

/** Lowers a graph to the bytes of an ONNX model. `constants` are inputs, by name, whose content lowerings may build in. */
export function lowerToOnnx(graph: Graph, constants: Readonly<Record<string, Tensor>> = {}): LoweredGraph {
  const draft = openDraft(), { shared } = draft;
  const values = draft.add(graph, { constants });
  // A value that is two outputs, or an input, gets a name of its own through Identity.
  const taken = new Set<string>(graph.inputs.keys()), nameOf = new Map<string, string>();
  const outputs = [...graph.outputs].map(([output, { dtype, shape }]) => {
    let name = values.get(output)!;
    if (taken.has(name)) draft.output(name, name = `out ${output}`);
    taken.add(name);
    nameOf.set(output, name);
    return { name, dtype, shape };
  });
  const inputs = [...graph.inputs].filter(([name]) => shared.read.has(name))
    .map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  const hostInputs = [...shared.hostInputs.values()];
  const proto = graphProto({
    name: "fintune",
    nodes: [...draft.nodes],
    initializers: [
      ...[...shared.initializers.values()].map(({ bytes }) => bytes),
      ...shared.external.map(({ proto }) => proto),
    ],
    inputs: [...inputs, ...hostInputs],
    outputs,
  });
  return {
    model: modelProto(proto),
    hostInputs,
    inputs: new Set(inputs.map(({ name }) => name)),
    outputs: nameOf,
    external: shared.external.map(({ path, data }) => ({ path, data })),
  };
}
