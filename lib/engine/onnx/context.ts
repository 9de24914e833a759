// What an op's ONNX lowering sees: a builder of ONNX nodes, constants and loop bodies.
import type { TypedArray } from "../dtype.ts";
import type { Dim, NodeView, Type, Value } from "../value.ts";

/** Element types of ONNX that lowerings use. */
export type OnnxDType = "f32" | "i32" | "i64" | "u8" | "u32" | "bool" | "f16";

/** A node's setting. */
export type OnnxAttribute = number | { float: number } | { ints: number[] } | string | OnnxBody;

/** What goes into a loop's body or comes out of it. */
export interface OnnxBodyValue {
  /** Unique in the model. */
  readonly name: string;
  /** Of the elements. */
  readonly dtype: OnnxDType;
  /** Where it is known. */
  readonly shape?: readonly (Dim | undefined)[];
  /** A sequence of such tensors. */
  readonly sequence?: boolean;
}

/** A loop's body: its own inputs and outputs, with access to every name of the graph around it. */
export interface OnnxBody {
  /** Adds nodes to the body. */
  readonly context: OnnxContext;
  /** Loop: step, condition, then what is carried. */
  readonly inputs: OnnxBodyValue[];
  /** Loop: condition, what is carried, then what is stacked. */
  readonly outputs: OnnxBodyValue[];
}

/** Builds the ONNX form of a graph. */
export interface OnnxContext {
  /**
   * Adds a node with one output and returns the output's name (a fresh one, unless it is given). Domain "com.microsoft" is
   * written `ms.MatMulBnb4`.
   */
  node(
    type: string,
    inputs: readonly string[],
    attributes?: Record<string, OnnxAttribute>,
    name?: string,
  ): string;
  /** The same for `count` outputs. */
  nodes(
    type: string,
    inputs: readonly string[],
    count: number,
    attributes?: Record<string, OnnxAttribute>,
  ): string[];
  /** A constant: a number gives a scalar, a list a vector. */
  f32(value: number | readonly number[]): string;
  /** The same in whole numbers of 64 bits. */
  i64(value: number | readonly number[]): string;
  /** The same in whole numbers of 32 bits. */
  i32(value: number | readonly number[]): string;
  /** The same in whole numbers of 32 bits from 0 on. */
  u32(value: number | readonly number[]): string;
  /** A new body for a Loop, in which nodes are added through the body's own context. */
  body(): OnnxBody;
  /**
   * A size as a vector of one whole number (64 bits). A named one is read off the first input that has it, so that what
   * several nodes compute from it is the same and computed once.
   */
  size(dim: Dim): string;
  /** A fresh name, for the inputs of a body. */
  fresh(hint: string): string;
  /** Whether anybody reads this value. */
  used(value: Value): boolean;
  /** What a value is called, once it is there. */
  named(value: Value): string | undefined;
  /** Names what another node of the graph would compute, because this op computes it along: that node adds nothing then. */
  provide(value: Value, name: string): void;
  /** The content of an input of the graph that was declared constant at compilation. */
  constant(value: Value): TypedArray | undefined;
  /** A large constant, kept beside the model (no limit of 2 GB) and laid out by onnxruntime for itself. */
  initializer(
    hint: string,
    dtype: "f32" | "u8",
    shape: readonly number[],
    data: Uint8Array | Float32Array,
  ): string;
  /** The nodes of the whole graph, for lowerings that depend on what else uses an input. */
  readonly graph: readonly NodeView[];
  /**
   * An input that JavaScript computes from inputs of the program before each run (for what ONNX has no fast op for).
   * One key is computed once.
   */
  host(
    key: string,
    type: Type,
    from: readonly Value[],
    compute: (inputs: TypedArray[], into: TypedArray) => void,
  ): string;
}
