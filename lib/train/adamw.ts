// AdamW over whatever of a model is trained, with clipping by the global norm. Nothing is read back from the device here.
import { checkGiven, checkModel } from "../arguments.ts";
import type { Device } from "../engine/device.ts";
import { adamw } from "../engine/ops/adamw.ts";
import { sumSquares } from "../engine/ops/sum_squares.ts";
import type { Tensor } from "../engine/tensor.ts";
import { f32, trace } from "../engine/trace.ts";
import { UserError } from "../errors.ts";
import { type Model, trainableParameters } from "../models/model.ts";
import type { Schedule } from "./schedule.ts";
import { compiled } from "./step.ts";

/** Options of {@linkcode adamW}, by torch.optim.AdamW's names. */
export interface AdamWOptions {
  /** A number, or a schedule by step. */
  learningRate: number | Schedule;
  /** Default [0.9, 0.999]. */
  betas?: readonly [number, number];
  /** Default 1e-8. */
  eps?: number;
  /** Decoupled decay of every trained tensor; default 0.01, as torch's (Transformers' Trainer sets 0). */
  weightDecay?: number;
  /**
   * LoRA+ (Hayou et al. 2024): B, magnitudes and biases learn at so many times the rate, biases without decay, as PEFT's
   * create_loraplus_optimizer (whose decay is 0 unless told); its authors take 16. Default 1 with one decay for all.
   */
  loraplusLrRatio?: number;
}

/** Optimizer state over a model's trainable parameters. */
export interface Optimizer {
  /** What it trains. */
  readonly model: Model;
  /** Steps done. */
  readonly steps: number;
  /** First and second moment of every trained tensor, f32, by name. */
  readonly moments: ReadonlyMap<string, { readonly m: Tensor; readonly v: Tensor }>;
  /** The rate of the next step. */
  learningRate(): number;
  /**
   * Applies gradients and frees them. Returns their global norm before clipping, squared, as f32[1]; the caller frees it.
   * Where it is not finite, the CPU changes nothing and counts no step (a GPU would have to be waited for).
   */
  step(gradients: ReadonlyMap<string, Tensor>, maxGradNorm: number): Promise<Tensor>;
  /** Continues from a saved state: sets `steps`. The moments are overwritten where they lie (`device.update`). */
  restore(steps: number): void;
  /** Gives the moments up; the optimizer can't be used any more. */
  free(): void;
}

/**
 * AdamW with decoupled weight decay and float32 state (Loshchilov & Hutter 2019), step for step as torch.optim.AdamW.
 *
 * It trains the model's active adapter, or without one every weight of the base.
 *
 * @throws UserError when nothing can be trained (a quantised base without an adapter) or an option is out of range
 *
 * @example
 * ```ts
 * import { adamW, attachLoRA, linearSchedule, loadModel } from "@fintune/fintune";
 * const model = attachLoRA(await loadModel("tests/reference/llama_tied/model"), { r: 4, quiet: true });
 * const optimizer = adamW(model, { learningRate: linearSchedule(2e-4, { warmup: 100, total: 339 }) });
 * console.log(optimizer.steps); // 0
 * ```
 */
export function adamW(model: Model, options: AdamWOptions): Optimizer {
  checkModel("adamW", model);
  checkGiven("adamW", options, "learningRate");
  const { betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0.01, learningRate } = options;
  checkOptions(model, options);
  const schedule = typeof learningRate === "number" ? () => learningRate : learningRate;
  const { device } = model;
  const parameters = trainableParameters(model);
  const zeros = ({ shape }: Tensor) =>
    device.upload(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape, "f32");
  const moments = new Map(
    [...parameters].map(([name, tensor]) => [name, { m: zeros(tensor), v: zeros(tensor) }]),
  );
  let steps = 0;
  return {
    model,
    moments,
    get steps() {
      return steps;
    },
    learningRate: () => schedule(steps),
    async step(gradients, maxGradNorm) {
      const normSquared = await globalNorm(device, [...gradients.values()]);
      if (device.backend === "cpu" && !Number.isFinite((normSquared.storage as Float32Array)[0])) {
        device.free(...gradients.values());
        return normSquared;
      }
      const t = steps + 1, rate = schedule(steps);
      const groups = Map.groupBy(parameters, ([name]) => groupOf(name, options.loraplusLrRatio));
      for (const [group, members] of groups) {
        const { rateFactor, decays } = groupSettings[group](options.loraplusLrRatio ?? 1);
        const numbers = [
          rate * rateFactor,
          1 - betas[0],
          1 - betas[1],
          eps,
          decays ? weightDecay : 0,
          1 - betas[0] ** t,
          1 - betas[1] ** t,
          maxGradNorm,
        ];
        const hyper = device.upload(Float32Array.from(numbers), [8], "f32");
        for (const [name, parameter] of members) {
          const { m, v } = moments.get(name)!;
          await update(device, { parameter, gradient: gradients.get(name)!, m, v, hyper, normSquared });
        }
        device.free(hyper);
      }
      device.free(...gradients.values());
      steps = t;
      return normSquared;
    },
    restore(done) {
      steps = done;
    },
    free() {
      for (const { m, v } of moments.values()) device.free(m, v);
      moments.clear();
    },
  };
}

/** LoRA+'s groups: what learns at the given rate, what faster, and of that what does not decay. */
type Group = "given" | "faster" | "fasterWithoutDecay";

const groupSettings: Record<Group, (ratio: number) => { rateFactor: number; decays: boolean }> = {
  given: () => ({ rateFactor: 1, decays: true }),
  faster: (ratio) => ({ rateFactor: ratio, decays: true }),
  fasterWithoutDecay: (ratio) => ({ rateFactor: ratio, decays: false }),
};

function groupOf(name: string, ratio: number | undefined): Group {
  if (ratio === undefined || name.includes("lora_A")) return "given";
  return name.includes(".lora_") ? "faster" : "fasterWithoutDecay";
}

function checkOptions(
  model: Model,
  { learningRate, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0.01, loraplusLrRatio }: AdamWOptions,
): void {
  if (typeof learningRate !== "function" && !(learningRate >= 0 && learningRate < Infinity)) {
    throw new UserError(
      `AdamW's learningRate is ${learningRate}; it must be a number of at least 0 or a schedule.`,
    );
  }
  if (!betas.every((beta) => beta >= 0 && beta < 1)) {
    throw new UserError(`AdamW's betas are ${betas}; each must be at least 0 and below 1.`);
  }
  if (!(eps > 0)) throw new UserError(`AdamW's eps is ${eps}; it must be above 0.`);
  if (!(weightDecay >= 0)) {
    throw new UserError(`AdamW's weightDecay is ${weightDecay}; it must be at least 0.`);
  }
  checkTrainable(model);
  if (loraplusLrRatio === undefined) return;
  if (!(loraplusLrRatio > 0 && loraplusLrRatio < Infinity)) {
    throw new UserError(`AdamW's loraplusLrRatio is ${loraplusLrRatio}; it must be above 0.`);
  }
  if (model.active === undefined) {
    throw new UserError("loraplusLrRatio is for LoRA's matrices: attach an adapter first (attachLoRA).");
  }
}

/** Whether the model has anything to train: an adapter in use, or else a base in f32. */
export function checkTrainable(model: Model): void {
  if (model.active !== undefined) return;
  if ([...model.weights.values()].some(({ kind }) => kind === "nf4")) {
    throw new UserError(
      "Quantised weights cannot be trained themselves: attach a LoRA adapter first (attachLoRA).",
    );
  }
  if ([...trainableParameters(model).values()].some(({ dtype }) => dtype !== "f32")) {
    throw new UserError(
      "Weights in half precision cannot be trained themselves: attach a LoRA adapter (attachLoRA), or load the model " +
        'with { dtype: "f32" }.',
    );
  }
}

const flat = (tensor: Tensor): Tensor => ({ ...tensor, shape: [tensor.shape.reduce((a, b) => a * b, 1)] });

/** Sum of squares over all gradients, f32[1]. */
async function globalNorm(device: Device, gradients: readonly Tensor[]): Promise<Tensor> {
  const graph = () =>
    trace({ x: f32("n"), before: f32(1) }, ({ x, before }) => ({ after: sumSquares(x, before) }));
  const program = await compiled(device, "sum of squares", graph, { light: true });
  let total = device.upload(new Float32Array(1), [1], "f32");
  for (const gradient of gradients) {
    const { after } = await program.run({ x: flat(gradient), before: total });
    device.free(total);
    total = after;
  }
  return total;
}

interface UpdateInputs {
  parameter: Tensor;
  gradient: Tensor;
  m: Tensor;
  v: Tensor;
  hyper: Tensor;
  normSquared: Tensor;
}

async function update(
  device: Device,
  { parameter, gradient, m, v, hyper, normSquared }: UpdateInputs,
): Promise<void> {
  const n = f32("n");
  const program = await compiled(
    device,
    "adamw",
    () =>
      trace({ parameter: n, gradient: n, m: n, v: n, hyper: f32(8), normSquared: f32(1) }, (values) => {
        const { parameter, gradient, m, v, hyper, normSquared } = values;
        const outputs = adamw(parameter, gradient, m, v, hyper, normSquared);
        return { parameter: outputs[0], m: outputs[1], v: outputs[2] };
      }),
    { light: true },
  );
  const inputs = {
    parameter: flat(parameter),
    gradient: flat(gradient),
    m: flat(m),
    v: flat(v),
    hyper,
    normSquared,
  };
  const outputs = await program.run(inputs);
  // WebGPU has written in place; elsewhere the new numbers are copied into the tensors that everyone holds.
  for (const [name, old] of Object.entries({ parameter, m, v })) {
    const { storage } = outputs[name];
    if (storage === old.storage) continue;
    device.update(old, storage as Float32Array);
    device.free(outputs[name]);
  }
}
