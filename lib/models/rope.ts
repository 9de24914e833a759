// Rotary positions' frequencies (Su et al. 2021, arXiv:2104.09864), and how config.json says they are stretched.

import { UserError } from "../errors.ts";
import type { ModelConfig, RopeScaling } from "./config_types.ts";

/**
 * Reads the base and the scaling of rotary positions from config.json: `rope_parameters` (Transformers 5), or `rope_theta`
 * and `rope_scaling` (Transformers 4).
 *
 * @throws UserError for a type other than default, linear and llama3, or a factor that makes no sense
 */
export function parseRope(
  json: Record<string, unknown>,
  where: string,
): Pick<ModelConfig, "ropeTheta" | "ropeScaling"> {
  const parameters = (json.rope_scaling ?? json.rope_parameters ?? {}) as Record<string, unknown>;
  if (typeof parameters !== "object" || Array.isArray(parameters)) {
    throw new UserError(
      `${where}: the rope parameters must be an object, not ${JSON.stringify(parameters)}.`,
    );
  }
  const number = (name: string, value: unknown): number => {
    if (typeof value === "number" && value > 0 && Number.isFinite(value)) return value;
    throw new UserError(
      `${where}: ${name} must be a positive number, but it is ${JSON.stringify(value) ?? "missing"}.`,
    );
  };
  const share = parameters.partial_rotary_factor ?? json.partial_rotary_factor ?? 1;
  if (share !== 1) {
    throw new UserError(`${where}: partial_rotary_factor ${JSON.stringify(share)} is not supported.`);
  }
  const ropeTheta = number("rope_theta", parameters.rope_theta ?? json.rope_theta ?? 10000);
  const ropeType = parameters.rope_type ?? parameters.type ?? "default";
  if (ropeType === "default") return { ropeTheta, ropeScaling: null };
  if (ropeType !== "linear" && ropeType !== "llama3") {
    throw new UserError(
      `${where}: rope type ${JSON.stringify(ropeType)} is not supported (default, linear or llama3).`,
    );
  }
  const factor = number("the rope factor", parameters.factor);
  if (ropeType === "linear") return { ropeTheta, ropeScaling: { ropeType, factor } };
  const original = parameters.original_max_position_embeddings ?? json.max_position_embeddings;
  const ropeScaling: RopeScaling = {
    ropeType,
    factor,
    lowFreqFactor: number("low_freq_factor", parameters.low_freq_factor),
    highFreqFactor: number("high_freq_factor", parameters.high_freq_factor),
    originalMaxPositionEmbeddings: number("original_max_position_embeddings", original),
  };
  if (ropeScaling.highFreqFactor <= ropeScaling.lowFreqFactor) {
    throw new UserError(`${where}: high_freq_factor must be greater than low_freq_factor.`);
  }
  return { ropeTheta, ropeScaling };
}

/**
 * The angle per position of each pair of a head's channels, in radians: theta^(-2i/headDim), stretched as the
 * configuration says. In Transformers' float32 steps, so that long texts see the same angles.
 *
 * @returns headDim / 2 frequencies
 */
export function inverseFrequencies(
  { headDim, ropeTheta, ropeScaling }: Pick<ModelConfig, "headDim" | "ropeTheta" | "ropeScaling">,
): Float32Array {
  const f = Math.fround;
  const plain = Float32Array.from(
    { length: headDim / 2 },
    (_, i) => 1 / f(f(ropeTheta) ** f(2 * i / headDim)),
  );
  if (!ropeScaling) return plain;
  const { factor } = ropeScaling;
  if (ropeScaling.ropeType === "linear") return plain.map((frequency) => frequency / f(factor));
  const { lowFreqFactor: low, highFreqFactor: high, originalMaxPositionEmbeddings: original } = ropeScaling;
  return plain.map((frequency) => {
    const wavelength = f(f(2 * Math.PI) / frequency);
    if (wavelength < f(original / high)) return frequency;
    if (wavelength > f(original / low)) return frequency / f(factor);
    const smooth = f(f(f(f(original) / wavelength) - f(low)) / f(high - low));
    return f(f(f(1 - smooth) * frequency) / f(factor)) + f(smooth * frequency);
  });
}
