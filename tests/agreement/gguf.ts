// GGUF files in the real llama.cpp.
import { join } from "@std/path";
import { exportGGUF, type GGUFType, type Model } from "../../mod.ts";
import { damaged } from "./damage.ts";
import { type Line, type Subject, TOKENS } from "./subject.ts";

export async function gguf(subjects: readonly Subject[]): Promise<Line[]> {
  const { closeLlamaCpp, openLlamaCpp } = await import("../interop/llama_cpp.ts");
  const lines: Line[] = [];
  for (const { family, model, questions, folder } of subjects) {
    if (family.notInLlamaCpp) continue;
    const path = join(folder, "model.gguf");
    const answers = async (model: Model, type: GGUFType) => {
      await exportGGUF(model, path, { type, overwrite: true });
      const llama = openLlamaCpp(path);
      const found = questions.map((ids) => llama.greedy(ids, TOKENS));
      llama.close();
      return found;
    };
    for (const type of ["f32", "f16", "q8_0", "q4_0", "q4_k_m"] as const) {
      lines.push({ family: family.name, format: `GGUF ${type}`, answers: await answers(model, type) });
    }
    for (const [damage, wrong] of await damaged(model)) {
      lines.push({ family: family.name, format: "GGUF f32", damage, answers: await answers(wrong, "f32") });
    }
  }
  closeLlamaCpp();
  return lines;
}
