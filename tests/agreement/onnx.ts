// ONNX folders in the real Transformers.js.
import { join } from "@std/path";
import { exportONNX } from "../../mod.ts";
import type { Line, Subject } from "./subject.ts";

const dtypes = { f32: "fp32", f16: "fp16", q4: "q4" } as const;

export async function onnx(subjects: readonly Subject[]): Promise<Line[]> {
  const { openTransformersJs } = await import("../interop/transformers_js.ts");
  const lines: Line[] = [];
  for (const { family, model, prompts, folder } of subjects) {
    const path = join(folder, "onnx");
    for (const type of ["f32", "f16", "q4"] as const) {
      await exportONNX(model, path, { type });
      const encoderDecoder = model.config.encoderDecoder !== undefined;
      const js = await openTransformersJs(path, { dtype: dtypes[type], encoderDecoder });
      const answers: number[][] = [];
      for (const { ids, count } of prompts) answers.push(await js.greedyIds(ids, count));
      await js.close();
      lines.push({ family: family.name, format: `ONNX ${type}`, exact: type !== "q4", answers });
    }
  }
  return lines;
}
