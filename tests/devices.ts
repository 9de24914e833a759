// The backends that tests run on, each opened once a test file: the CPU, and whatever adapter WebGPU finds, software ones too.
import type { Device } from "../lib/engine/device.ts";
import { openDevice } from "../lib/engine/open.ts";
import { UserError } from "../lib/errors.ts";

/** The CPU first. Without any adapter it is alone, and says so: nothing is skipped in silence. */
export async function devices(): Promise<Device[]> {
  const cpu = await openDevice({ backend: "cpu" });
  try {
    return [cpu, await openDevice({ backend: "webgpu" })];
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.warn(`WebGPU is not tested here: ${error.message}`);
    return [cpu];
  }
}
