// What examples/serve.ts and examples/chat.ts are told alike: which model answers, with which adapter, and how it is asked.
import { basename, dirname, fromFileUrl } from "@std/path";
import { alpaca, decodeIn, financeQA, loadAdapter, loadModel, type Model } from "@fintune/fintune";
import { choice, text } from "./flags.ts";

/** The flags, for readFlags. */
export const modelFlags = {
  "model": text("Folder of a model, or its name on the Hub; default: the embedded small Llama"),
  "adapter": text("Folder of an adapter for it, or its name on the Hub"),
  "quantize": choice("Quantise the model while loading", ["none", "nf4"], "none"),
  "bits": choice(
    "Bits of the weights that answers are decoded from: fewer are faster",
    ["auto", "8", "4"],
    "auto",
  ),
  "prompt": choice(
    "How questions become text: the model's chat template, or as a recipe asks, each question alone",
    ["auto", "chat", "financeQA", "alpaca"],
    "auto",
  ),
} as const;

/** The recipes' prompts by the names of --prompt. */
export const prompts = { financeQA, alpaca };

/** What was chosen, loaded. */
export interface Chosen {
  /** Where the model lies. */
  folder: string;
  /** A short name for it. */
  name: string;
  base: Model;
  /** With the adapter, if one was named. */
  tuned?: Model;
}

/** Loads what the flags name. */
export async function loadChosen(
  flags: { model?: string; adapter?: string; quantize: "none" | "nf4"; bits: "auto" | "8" | "4" },
): Promise<Chosen> {
  const { model, adapter, quantize, bits } = flags;
  const folder = model ?? fromFileUrl(new URL("./tiny/model", import.meta.url));
  const loaded = await loadModel(folder, quantize === "nf4" ? { quantize } : {});
  const base = bits === "auto" ? loaded : decodeIn(loaded, { bits: bits === "4" ? 4 : 8 });
  return {
    folder,
    name: model === undefined ? "small-llama" : basename(folder),
    base,
    tuned: adapter === undefined
      ? undefined
      : await loadAdapter(base, adapter, { name: adapterName(adapter) }),
  };
}

/** Recipes write their adapter into a folder of that name, inside one that tells more. */
const adapterName = (path: string) => basename(basename(path) === "adapter" ? dirname(path) : path);
