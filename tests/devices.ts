// The backends that tests run on, each opened once a test file: the CPU, and whatever adapter WebGPU finds, software ones too.
import type { Device } from "../lib/engine/device.ts";
import { openDevice } from "../lib/engine/open.ts";
import { UserError } from "../lib/errors.ts";

/** The CPU first. Without any adapter it is alone, and says so; FINTUNE_REQUIRE_GPU makes that an error. */
export async function devices(): Promise<Device[]> {
  const cpu = await openDevice({ backend: "cpu" });
  try {
    return [cpu, await openDevice({ backend: "webgpu", gpu: await dawn() })];
  } catch (error) {
    if (!(error instanceof UserError) || Deno.env.get("FINTUNE_REQUIRE_GPU")) throw error;
    console.warn(`WebGPU is not tested here: ${error.message}`);
    return [cpu];
  }
}

/** Dawn's WebGPU in place of Deno's own, where FINTUNE_DAWN asks for it. */
async function dawn(): Promise<GPU | undefined> {
  if (!Deno.env.get("FINTUNE_DAWN")) return undefined;
  const name = "npm:webgpu@0.6.2"; // not a literal import: only this run needs the package
  const { create, globals } = await import(name);
  Object.assign(globalThis, globals);
  return create([]);
}
