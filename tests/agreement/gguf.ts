// GGUF files in the real llama.cpp.
import { join } from "@std/path";
import { exportGGUF } from "../../mod.ts";
import type { Line, Subject } from "./subject.ts";

export async function gguf(subjects: readonly Subject[]): Promise<Line[]> {
  const { closeLlamaCpp, openLlamaCpp } = await import("../interop/llama_cpp.ts");
  const lines: Line[] = [];
  for (const { family, model, prompts, folder } of subjects) {
    if (family.notInLlamaCpp) continue;
    for (const type of ["f32", "f16", "q8_0"] as const) {
      const path = join(folder, `${type}.gguf`);
      await exportGGUF(model, path, { type });
      const llama = openLlamaCpp(path);
      const answers = prompts.map(({ ids, count }) => llama.greedy(ids, count));
      llama.close();
      lines.push({ family: family.name, format: `GGUF ${type}`, exact: type !== "q8_0", answers });
    }
  }
  closeLlamaCpp();
  return lines;
}
