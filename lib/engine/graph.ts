// The typed graph: values, nodes, and what an op must bring. Backends and gradients only ever see this.
import type { DType, TypedArray } from "./dtype.ts";
import type { OnnxContext } from "./onnx/context.ts";
import type { Attributes, NodeView, Recording, Type, Value } from "./value.ts";
import type { GpuContext } from "./webgpu/context.ts";

export type { Attributes, Dim, NodeView, Recording, Type, Value } from "./value.ts";

/** The graph under construction; nodes stand in an order in which they can run. */
export interface Trace extends Recording {
  /** What was recorded so far. */
  readonly nodes: Node[];
}

/** One application of an op. */
export interface Node extends NodeView {
  /** Which op. */
  // deno-lint-ignore no-explicit-any
  readonly op: OpDefinition<any>;
}

/** A traced program. */
export interface Graph {
  /** By name. */
  readonly inputs: ReadonlyMap<string, Value>;
  /** In an order in which they can run. */
  readonly nodes: readonly Node[];
  /** By name. */
  readonly outputs: ReadonlyMap<string, Value>;
}

/**
 * Given a node and the gradients of its outputs (undefined: the output has none), adds the nodes that compute the
 * gradients of its inputs. `needed[i]` is false where nobody asks for input i's.
 */
export type GradientRule = (
  node: Node,
  gradients: readonly (Value | undefined)[],
  needed: readonly boolean[],
) => (Value | undefined)[];

/** Concrete inputs on which the tests run an op: backends against each other, gradients against differences. */
export interface Sample {
  /** In the op's order. */
  readonly inputs: readonly { dtype: DType; shape: readonly number[]; data: TypedArray }[];
  /** Settings to test with. */
  readonly attributes: Attributes;
  /** Inputs whose gradient is compared with finite differences of the outputs. */
  readonly differentiate?: readonly number[];
}

/** Everything about one op, in one room. */
export interface OpDefinition<A extends Attributes = Attributes> {
  /** For errors and profiles. */
  readonly name: string;
  /** The shape rule: the types of the outputs, or an exception that says which input does not fit. */
  infer(inputs: readonly Type[], attributes: A): Type[];
  /** "none": an op for inference or bookkeeping, or the gradient op of another. */
  readonly gradient: GradientRule | "none";
  /** Adds ONNX nodes; returns the names of the outputs (undefined for one that nobody uses). */
  onnx(context: OnnxContext, inputs: readonly string[], node: Node): (string | undefined)[];
  /** Inputs that the ONNX lowering does not read, so that nobody computes them in vain. */
  readonly onnxIgnores?: readonly number[];
  /** Records the dispatches that fill the outputs. */
  webgpu(context: GpuContext, attributes: A): void;
  /** On WebGPU, output o is written over input inPlace[o]. */
  readonly inPlace?: Readonly<Record<number, number>>;
  /** What the tests run it on. */
  readonly samples: readonly Sample[];
}

/** Applies an op to symbolic tensors. Ops from outside lib/ are applied in just the same way. */
export function apply<A extends Attributes>(
  op: OpDefinition<A>,
  inputs: readonly Value[],
  attributes: A,
): Value[] {
  const trace = inputs[0].trace as Trace;
  const outputs = op.infer(inputs, attributes).map((type) => newValue(trace, type));
  trace.nodes.push({ op, inputs, outputs, attributes });
  return outputs;
}

export function newValue(trace: Trace, { dtype, shape }: Type): Value {
  return { id: trace.nextId++, trace, dtype, shape };
}
