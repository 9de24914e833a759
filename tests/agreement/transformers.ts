// Transformers: base and adapter unmerged, by PEFT, which is what all else is held against; and the folders that saveModel writes.
import { join } from "@std/path";
import { saveModel } from "../../mod.ts";
import { inTransformers, type Job } from "../interop/saved_model.ts";
import { damaged } from "./damage.ts";
import { type Line, type Subject, TOKENS } from "./subject.ts";

/** What a subject is held against. */
export interface Reference {
  answers: number[][];
  /** The smallest distance of the likeliest token's logit from the next one's, over all answers. */
  margin: number;
}

/** The reference of every subject, and lines of what was saved. */
export async function transformers(
  subjects: readonly Subject[],
): Promise<{ references: Reference[]; lines: Line[] }> {
  const jobs: Job[] = [], kinds: (Omit<Line, "answers"> | undefined)[] = [];
  for (const { family, model, base, adapter, questions, folder } of subjects) {
    const prompts = questions.map((ids) => ({ ids, count: TOKENS }));
    const add = (job: Job, kind?: Omit<Line, "answers">) => {
      jobs.push({ ...job, prompts });
      kinds.push(kind);
    };
    add({ base, adapter });
    for (const dtype of ["f32", "f16", "bf16"] as const) {
      const saved = join(folder, `saved-${dtype}`);
      await saveModel(model, saved, { dtype });
      add({ base: saved }, { family: family.name, format: `saveModel ${dtype}` });
    }
    for (const [i, [damage, wrong]] of (await damaged(model)).entries()) {
      const saved = join(folder, `damaged-${i}`);
      await saveModel(wrong, saved);
      add({ base: saved }, { family: family.name, format: "saveModel f32", damage });
    }
  }
  const found = await inTransformers(jobs);
  return {
    references: found.filter((_, i) => !kinds[i]).map(({ answers, margins }) => ({
      answers,
      margin: Math.min(...margins),
    })),
    lines: found.flatMap(({ answers }, i) => kinds[i] ? [{ ...kinds[i], answers }] : []),
  };
}
