// Numbers on their way into a file: NaN and what a format has no room for would come back as other models' rubbish.
import { UserError } from "../errors.ts";

/** Throws UserError where a number is not finite or, for half precision, would become infinite; `instead` says what to do then. */
export function checkNumbers(name: string, numbers: Float32Array, half?: { instead: string }): void {
  const most = half ? 65520 : Infinity;
  const beyond = numbers.findIndex((value) => !(Math.abs(value) < most));
  if (beyond < 0) return;
  const value = numbers[beyond];
  if (!Number.isFinite(value)) {
    throw new UserError(
      `${name} holds ${value} (number ${beyond}): the weights are broken, most likely a training that has failed.`,
    );
  }
  throw new UserError(`${name} holds ${value}, beyond what f16 can (65504): ${half!.instead}.`);
}
