// Transformers: base and adapter unmerged, by PEFT, which is what all else is held against; and the folders that saveModel writes.
import { join } from "@std/path";
import { saveModel } from "../../mod.ts";
import { inTransformers, type Job } from "../interop/saved_model.ts";
import type { Line, Subject } from "./subject.ts";

const dtypes = ["f32", "f16", "bf16"] as const;

/** The reference of every subject, and a line for each dtype. */
export async function transformers(
  subjects: readonly Subject[],
): Promise<{ reference: number[][][]; lines: Line[] }> {
  const jobs: Job[] = [];
  for (const { model, base, adapter, prompts, folder } of subjects) {
    jobs.push({ base, adapter, prompts });
    for (const dtype of dtypes) {
      const saved = join(folder, `saved-${dtype}`);
      await saveModel(model, saved, { dtype });
      jobs.push({ base: saved, prompts });
    }
  }
  const found = await inTransformers(jobs), perSubject = 1 + dtypes.length;
  const lines = subjects.flatMap(({ family }, i) =>
    dtypes.map((dtype, d): Line => ({
      family: family.name,
      format: `saveModel ${dtype}`,
      exact: dtype !== "bf16",
      answers: found[i * perSubject + 1 + d].answers,
    }))
  );
  return { reference: subjects.map((_, i) => found[i * perSubject].answers), lines };
}
