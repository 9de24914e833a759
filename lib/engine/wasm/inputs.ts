// What comes from outside: weights, which are put into the memory once, and what every run brings along.
import type { Graph, Value } from "../graph.ts";
import { unnest } from "../ops/nested_absmax.ts";
import type { Tensor } from "../tensor.ts";
import { type Layout, must, widthOf } from "./layout.ts";

export type Tensors = Readonly<Record<string, Tensor>>;

/** Puts numbers where the kernels look for them. */
export type Fill = (memory: ArrayBufferLike, inputs: Tensors) => void;

/** A cache's keys and values among the inputs, and where their addresses and its positions go. */
export interface CachePlace {
  readonly k: string;
  readonly v: string;
  readonly at: number;
}

export type Inputs = ReturnType<typeof openInputs>;

export function openInputs(graph: Graph, constants: Tensors, layout: Layout) {
  const { weight, fresh, rows } = layout;
  const nameOf = new Map([...graph.inputs].map(([name, { id }]) => [id, name]));
  const packs: Fill[] = [], feeds: Fill[] = [], caches: CachePlace[] = [];
  const numbers = new Map<number, number>(), perToken = new Map<string, number>();

  const named = (value: Value, what: string): string => {
    const name = nameOf.get(value.id);
    must(name !== undefined, `${what} that is no input`);
    return name;
  };
  const constant = (value: Value): Tensor["storage"] | undefined => {
    const name = nameOf.get(value.id);
    return name === undefined ? undefined : constants[name]?.storage;
  };
  /** Room for so many bytes a token, filled before every run. */
  const eachToken = (name: string, bytes: number, fill: (at: number) => Fill): number => {
    const known = perToken.get(name);
    if (known !== undefined) return known;
    const at = fresh(bytes * rows);
    feeds.push(fill(at));
    perToken.set(name, at);
    return at;
  };
  return {
    packs,
    feeds,
    caches,
    named,
    constant,
    /**
     * A tensor of f32: constant, or copied in every run. A weight's rows are filled up with zeros to `width`, and their number to
     * a multiple of four.
     */
    tensor(value: Value, width?: number): number {
      const known = numbers.get(value.id);
      if (known !== undefined) return known;
      must(value.dtype === "f32", "a weight that is not of f32");
      const name = named(value, "a weight"), [first, inner = 1] = value.shape as number[];
      const stride = width ?? inner, at = weight(16 * Math.ceil(first / 4) * stride);
      const fill: Fill = (memory, inputs) => {
        const data = inputs[name].storage as Float32Array, to = new Float32Array(memory, at, first * stride);
        if (stride === inner) return to.set(data);
        for (let row = 0; row < first; row++) {
          to.set(data.subarray(row * inner, (row + 1) * inner), row * stride);
        }
      };
      if (constants[name]) packs.push((memory) => fill(memory, constants));
      else feeds.push(fill);
      numbers.set(value.id, at);
      return at;
    },
    literals(...values: number[]): number {
      const at = weight(4 * values.length);
      packs.push((memory) => new Float32Array(memory, at, values.length).set(values));
      return at;
    },
    /** NF4's scales, also where they are quantised themselves. */
    scales(absmax: Value): Float32Array | undefined {
      const nested = graph.nodes.find(({ op, outputs }) =>
        op.name === "nestedAbsmax" && outputs[0] === absmax
      );
      if (!nested) return constant(absmax) as Float32Array | undefined;
      const parts = nested.inputs.map(constant);
      return parts.includes(undefined) ? undefined : unnest(parts as Parameters<typeof unnest>[0]);
    },
    /** Rows of a table at the tokens' positions. */
    rowsAt(table: Value, positions: Value): number {
      const [name, from] = [named(table, "a table"), named(positions, "positions")], width = widthOf(table);
      return eachToken(name, 4 * width, (at) => (memory, inputs) => {
        const data = inputs[name].storage as Float32Array, to = new Float32Array(memory, at, width * rows);
        (inputs[from].storage as Int32Array).forEach((position, row) =>
          to.set(data.subarray(position * width, (position + 1) * width), row * width)
        );
      });
    },
    /** An input of so many numbers a token. */
    perToken(value: Value, each: number): number {
      const name = named(value, "numbers");
      return eachToken(name, 4 * each, (at) => (memory, inputs) => {
        const { storage } = inputs[name] as { storage: Int32Array | Float32Array };
        const to = storage instanceof Int32Array ? new Int32Array(memory, at) : new Float32Array(memory, at);
        to.set(storage);
      });
    },
    cache(k: Value, v: Value): number {
      const names = { k: named(k, "a cache"), v: named(v, "a cache") };
      const known = caches.find((other) => other.k === names.k && other.v === names.v);
      if (known) return known.at;
      const at = fresh(64);
      caches.push({ ...names, at });
      return at;
    },
  };
}
