// What a model or adapter holds on its device is given back, so that the next input is measured from the same floor.
import type { Tensor } from "../../lib/engine/tensor.ts";
import type { Adapter, Model, NF4Weight } from "../../lib/models/model.ts";

/** Frees the base's weights. */
export function freeModel({ device, weights }: Model): void {
  for (const weight of weights.values()) {
    device.free(...(weight.kind === "dense" ? [weight.tensor] : tensorsOf(weight)));
  }
}

function tensorsOf({ codes, scales }: NF4Weight): Tensor[] {
  return [codes, ...Object.values(scales) as Tensor[]];
}

/** Frees the matrices of the adapter that a model got last. */
export function freeAdapter({ device, adapters }: Model): void {
  const last: Adapter = [...adapters.values()].at(-1)!;
  device.free(...last.parameters.values());
}
