// ONNX folders in the real Transformers.js.
import { join } from "@std/path";
import { exportONNX, type Model } from "../../mod.ts";
import { damaged } from "./damage.ts";
import { type Line, type Subject, TOKENS } from "./subject.ts";

const dtypes = { f32: "fp32", f16: "fp16", q8: "q8", q4: "q4" } as const;
type Type = keyof typeof dtypes;

export async function onnx(subjects: readonly Subject[]): Promise<Line[]> {
  const { openTransformersJs } = await import("../interop/transformers_js.ts");
  const lines: Line[] = [];
  for (const { family, model, questions, folder } of subjects) {
    const encoderDecoder = model.config.encoderDecoder !== undefined;
    const answers = async (model: Model, type: Type) => {
      const path = join(folder, "onnx");
      await exportONNX(model, path, { type, overwrite: true });
      const js = await openTransformersJs(path, { dtype: dtypes[type], encoderDecoder });
      const found: number[][] = [];
      for (const ids of questions) found.push(await js.greedyIds(ids, TOKENS));
      await js.close();
      return found;
    };
    for (const type of ["f32", "f16", "q8", "q4"] as const) {
      lines.push({ family: family.name, format: `ONNX ${type}`, answers: await answers(model, type) });
    }
    for (const [damage, wrong] of await damaged(model)) {
      lines.push({ family: family.name, format: "ONNX f32", damage, answers: await answers(wrong, "f32") });
    }
  }
  return lines;
}
