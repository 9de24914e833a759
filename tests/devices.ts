// The backends that tests of whole models run on, each opened once a test file.
import { type Device, openDevice } from "../lib/engine/device.ts";

export async function devices(): Promise<Device[]> {
  return [await openDevice({ backend: "cpu" })];
}
