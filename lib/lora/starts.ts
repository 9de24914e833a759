// How an adapter's matrices start: PEFT's default and "gaussian", which leave the base alone; PiSSA and LoftQ, which take
// their start out of the base's weights and change those.
import { lowbias32 } from "../engine/ops/dropout.ts";
import { UserError } from "../errors.ts";
import { toFloat16 } from "../formats/floats.ts";
import { loraShapes } from "../models/config.ts";
import { type DenseWeight, type LoRAConfig, type Model, type Weight, weightsFor } from "../models/model.ts";
import { loraScale } from "../models/parameters.ts";
import { quantizeWeight, weightValues } from "../quantize/model.ts";
import { adaptedModules, prefix } from "./shapes.ts";
import { largestSingular } from "./svd.ts";
import { addUpdate } from "./update.ts";

/** Whether the adapter fits only a base of its own. */
export const changesBase = ({ initLoraWeights: start }: LoRAConfig): boolean =>
  start === "pissa" || start === "loftq";

/** A random, B zero: the model answers as before. */
export function plainStart(model: Model, config: LoRAConfig, seed: number): Map<string, Float32Array> {
  const values = new Map<string, Float32Array>();
  for (const [name, shape] of loraShapes(model.config, config)) {
    const own = (lowbias32(seed) ^ hash(name)) >>> 0, length = shape[0] * shape[1];
    const isA = name.endsWith("lora_A.weight"), isGaussian = config.initLoraWeights === "gaussian";
    if (!isA) values.set(name, new Float32Array(length));
    else if (isGaussian) values.set(name, normal(length, 1 / config.r, own));
    else values.set(name, uniform(length, 1 / Math.sqrt(shape[1]), own));
  }
  return values;
}

function hash(text: string): number {
  let state = 0;
  for (let i = 0; i < text.length; i++) state = lowbias32(state + text.charCodeAt(i));
  return state;
}

/** In [0, 1), from counters. */
const random = (seed: number, i: number): number =>
  lowbias32(lowbias32(seed) + Math.imul(i, 0x9e3779b9)) / 2 ** 32;

/** torch's kaiming_uniform_ with a = sqrt(5), for which `bound` is 1 / sqrt(in). */
const uniform = (length: number, bound: number, seed: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => (2 * random(seed, i) - 1) * bound);

/** Box and Muller's method. */
const normal = (length: number, deviation: number, seed: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => {
    const radius = Math.sqrt(-2 * Math.log(1 - random(seed, 2 * i)));
    return deviation * radius * Math.cos(2 * Math.PI * random(seed, 2 * i + 1));
  });

/** The base's weights with the adapted ones changed, and the matrices that go with them. */
export interface ChangedStart {
  readonly weights: Map<string, Weight>;
  readonly values: Map<string, Float32Array>;
}

/** PiSSA's or LoftQ's start. Only the adapted weights are new; the others are shared with the base. */
export async function changedStart(model: Model, config: LoRAConfig): Promise<ChangedStart> {
  const { device } = model, weights = new Map(weightsFor(model, undefined));
  const values = new Map<string, Float32Array>();
  const start = config.initLoraWeights === "pissa" ? principal : quantised;
  for (const module of adaptedModules(model.config, config)) {
    const name = `${module}.weight`, weight = weights.get(name)!;
    if (weight.kind === "nf4") throw isQuantised(name, config);
    const data = (await weightValues(device, weight)).slice(), [rows, columns] = weight.tensor.shape;
    const { a, b, base } = await start(model, name, weight, { data, rows, columns }, config);
    values.set(`${prefix}${module}.lora_A.weight`, a).set(`${prefix}${module}.lora_B.weight`, b);
    weights.set(name, base);
  }
  return { weights, values };
}

const isQuantised = (name: string, { initLoraWeights: start }: LoRAConfig): UserError =>
  new UserError(
    `initLoraWeights "${start}" starts from the unquantised weights, but ${name} is NF4: ` +
      (start === "pissa"
        ? "attach the adapter first and quantise then."
        : "load the model unquantised; LoftQ quantises the adapted layers itself."),
  );

interface Matrix {
  readonly data: Float32Array;
  readonly rows: number;
  readonly columns: number;
}

/** PiSSA (Meng et al. 2024, arXiv:2404.02948): the r largest singular directions train, the rest of the weight stays. */
function principal(
  { device }: Model,
  _: string,
  { tensor }: DenseWeight,
  matrix: Matrix,
  config: LoRAConfig,
) {
  const scale = loraScale(config);
  const { a, b } = lowRank(matrix, config.r, 1 / scale);
  const rest = without(matrix, a, b, scale);
  const values = tensor.dtype === "f16" ? new Uint16Array(toFloat16(rest).buffer as ArrayBuffer) : rest;
  const base: Weight = { kind: "dense", tensor: device.upload(values, tensor.shape, tensor.dtype) };
  return { a, b, base };
}

/** LoftQ (Li et al. 2023, arXiv:2310.08659) in NF4: the weight is quantised, the adapter starts with what that loses. */
async function quantised(
  { device }: Model,
  name: string,
  { tensor }: DenseWeight,
  matrix: Matrix,
  { r, loftqIter = 1 }: LoRAConfig,
) {
  let rest = matrix.data;
  for (let round = 1;; round++) {
    const base = quantizeWeight(device, name, rest, tensor.shape, {});
    const held = await weightValues(device, base);
    const lost = { ...matrix, data: matrix.data.map((x, i) => x - held[i]) };
    const { a, b } = lowRank(lost, r, 1);
    if (round === loftqIter) return { a, b, base };
    device.free(base.codes, ...Object.values(base.scales));
    rest = without(matrix, a, b, 1);
  }
}

/** The best A [r, columns] and B [rows, r] with B A = share * matrix, each with the roots of the singular values. */
function lowRank(matrix: Matrix, r: number, share: number): { a: Float32Array; b: Float32Array } {
  const { rows, columns } = matrix;
  const a = new Float32Array(r * columns), b = new Float32Array(rows * r);
  const { u, s, v } = largestSingular(matrix, Math.min(r, rows, columns));
  s.forEach((value, k) => {
    const root = Math.sqrt(value * share);
    for (let j = 0; j < columns; j++) a[k * columns + j] = root * v[k][j];
    for (let i = 0; i < rows; i++) b[i * r + k] = root * u[k][i];
  });
  return { a, b };
}

/** matrix - scale * b a */
function without({ data, rows, columns }: Matrix, a: Float32Array, b: Float32Array, scale: number) {
  const row = new Float64Array(columns), rest = new Float32Array(data.length);
  for (let i = 0; i < rows; i++) {
    row.set(data.subarray(i * columns, (i + 1) * columns));
    addUpdate(row, i, { a, b, scale: -scale });
    rest.set(row, i * columns);
  }
  return rest;
}
