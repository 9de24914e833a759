// Transformers and PEFT on folders written here: saved_model.py, run once for many of them.
import assert from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { readTensors } from "../references.ts";

const script = fromFileUrl(new URL("./saved_model.py", import.meta.url));

/** A folder of a model, with an adapter's, and what to do with them. */
export interface Job {
  base: string;
  adapter?: string;
  prompts?: readonly { ids: readonly number[]; count: number }[];
  rows?: readonly { inputIds: ArrayLike<number>; labels: ArrayLike<number> }[];
  texts?: readonly string[];
  talks?: readonly { role: string; content: string }[][];
}

/** What came of it. */
export interface Found {
  answers: number[][];
  /** Along each answer the smallest distance of the likeliest token's logit from the next one's. */
  margins: number[];
  ids?: number[][];
  chats?: string[];
  ends: number[];
  dtypes: string[];
  shards: number;
  logits: Float32Array[];
}

/** Runs them all in one process; FINTUNE_PYTHON names a Python with requirements.txt installed (default python3). */
export async function inTransformers(jobs: readonly Job[]): Promise<Found[]> {
  const folder = await Deno.makeTempDir(),
    input = `${folder}/jobs.json`,
    output = `${folder}/logits.safetensors`;
  try {
    await Deno.writeTextFile(input, JSON.stringify(jobs));
    const python = Deno.env.get("FINTUNE_PYTHON") ?? "python3";
    const command = new Deno.Command(python, { args: [script, input, output], stderr: "piped" });
    const { success, stdout, stderr } = await command.output();
    assert.ok(success, new TextDecoder().decode(stderr));
    const found: Omit<Found, "logits">[] = JSON.parse(
      new TextDecoder().decode(stdout).trim().split("\n").at(-1)!,
    );
    const logits = await readTensors(output);
    return found.map((one, job) => ({
      ...one,
      logits: (jobs[job].rows ?? []).map((_, i) => logits.get(`${job}.${i}`)!),
    }));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
