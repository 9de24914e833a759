// The constants of a file: a model's weights in the type that the file has them in, each read when its turn to be written comes.
import type { Type } from "../engine/graph.ts";
import { checkNumbers } from "../formats/check_numbers.ts";
import { toFloat16 } from "../formats/floats.ts";
import type { ModelConfig } from "../models/config.ts";
import type { Model, Weight } from "../models/model.ts";
import { weightValues } from "../quantize/model.ts";
import { type Bits, BLOCK, blockBytes, type BlockWeight, quantizeBlocks } from "../engine/onnx/blocks.ts";

/** "f32", "f16" (matrices, and the products with them), "q8" and "q4" (matrices that are multiplied with, in so many bits). */
export type ExportType = "f32" | "f16" | "q8" | "q4";

/** The types whose products are with codes. */
export const BITS: Partial<Record<ExportType, Bits>> = { q8: 8, q4: 4 };

export interface FileForm {
  readonly type: ExportType;
  /** MatMulNBits': 4 for activations in eight bits. */
  readonly accuracyLevel: 0 | 4;
}

/** A constant of the model. */
export interface Initializer {
  readonly name: string;
  readonly dtype: "f32" | "f16" | "u8";
  readonly shape: readonly number[];
  /** Its bytes, little-endian; called once, in the order of the file. */
  data(): Uint8Array | Promise<Uint8Array>;
}

export interface FileWeights {
  readonly config: ModelConfig;
  readonly form: FileForm;
  /** As inputs of graphs. */
  readonly types: Readonly<Record<string, Type>>;
  /** Names of a weight's codes and scales, which the file will hold. */
  blocks(name: string): [codes: string, scales: string];
  /** A constant that is no weight of the model. */
  constant(name: string, shape: readonly number[], data: Float32Array): string;
  /** A weight's numbers. */
  values(name: string): Promise<Float32Array>;
  /** Everything that a file needs whose nodes read these names. */
  initializers(read: ReadonlySet<string>): Initializer[];
}

const shapeOf = (weight: Weight): readonly number[] =>
  weight.kind === "dense" ? weight.tensor.shape : weight.shape;

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);

export function openWeights({ weights, config, device }: Model, form: FileForm): FileWeights {
  const { type } = form;
  const values = (name: string) => weightValues(device, weights.get(name)!);
  const others: Initializer[] = [], quantised = new Set<string>();
  const types = Object.fromEntries(
    [...weights].map(([name, weight]): [string, Type] => [name, { dtype: "f32", shape: shapeOf(weight) }]),
  );
  const dense = (name: string): Initializer => {
    const shape = shapeOf(weights.get(name)!);
    // Norms and biases are small, and are computed with in full precision.
    const dtype = type === "f16" && shape.length === 2 ? "f16" : "f32";
    const data = async () => {
      const numbers = await values(name);
      checkNumbers(name, numbers, dtype === "f16" ? { instead: 'export as "f32", "q8" or "q4"' } : undefined);
      return dtype === "f16" ? toFloat16(numbers) : bytesOf(numbers);
    };
    return { name, dtype, shape, data };
  };
  return {
    config,
    form,
    types,
    values,
    blocks(name) {
      const bits = BITS[type]!, shape = shapeOf(weights.get(name)!);
      if (!quantised.has(name)) others.push(...blockInitializers(name, shape, bits, values));
      quantised.add(name);
      return [`${name}_Q${bits}`, `${name}_scales`];
    },
    constant(name, shape, data) {
      others.push({ name, dtype: "f32", shape, data: () => bytesOf(data) });
      return name;
    },
    initializers: (read) => [...[...weights.keys()].filter((name) => read.has(name)).map(dense), ...others],
  };
}

/** Codes, then scales: computed together, when the codes are asked for. */
function blockInitializers(
  name: string,
  shape: readonly number[],
  bits: Bits,
  values: (name: string) => Promise<Float32Array>,
): Initializer[] {
  const [out, width] = shape, blocks = Math.ceil(width / BLOCK);
  let made: BlockWeight | undefined;
  const codes = async () => {
    const numbers = await values(name);
    checkNumbers(name, numbers);
    made = quantizeBlocks(numbers, shape, bits);
    return made.codes;
  };
  const scales = () => {
    const found = bytesOf(made!.scales);
    made = undefined;
    return found;
  };
  return [
    { name: `${name}_Q${bits}`, dtype: "u8", shape: [out, blocks, blockBytes(bits)], data: codes },
    { name: `${name}_scales`, dtype: "f32", shape: [out, blocks], data: scales },
  ];
}
