// Symbolic tensors, and as much of the graph around them as lowerings look at.
import type { DType } from "./dtype.ts";

/** A size known when the graph is made, or the name of one that is known when it runs. */
export type Dim = number | string;

/** What is known of a tensor before the program runs. */
export interface Type {
  /** Of the elements. */
  readonly dtype: DType;
  /** Sizes of the axes, the slowest first. */
  readonly shape: readonly Dim[];
}

/** A symbolic tensor: the output of a node, or an input of the graph that is being traced. */
export interface Value extends Type {
  /** Unique in its graph. */
  readonly id: number;
  /** The graph that it belongs to. */
  readonly trace: Recording;
}

/** The graph under construction. */
export interface Recording {
  /** For the next value. */
  nextId: number;
}

/** Settings of an op that are known when the graph is made. */
export type Attributes = Record<string, number | string | boolean | undefined>;

/** A node as lowerings see it. */
export interface NodeView {
  /** Which op; compare it with the op itself. */
  readonly op: { readonly name: string };
  /** What it reads. */
  readonly inputs: readonly Value[];
  /** What it computes. */
  readonly outputs: readonly Value[];
  /** Its settings. */
  readonly attributes: Attributes;
}
