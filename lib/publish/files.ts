// Which files of a folder are published: those that make an adapter or a model, and what was asked for. Everything else stays,
// and is listed with the reason.
import { join } from "@std/path";
import { UserError } from "../errors.ts";
import { fileError } from "../formats/file_error.ts";
import { matchesGlob } from "../hub/glob.ts";
import { checkFileName } from "../hub/names.ts";
import type { PushFile } from "../hub/push.ts";

/** A file or folder that is not published. */
export interface LeftOut {
  /** Its path in the folder; folders end with a slash. */
  path: string;
  /** Bytes, of a folder all in it. */
  size: number;
  /** The reason, in a few words. */
  why: string;
}

/** What is published of a folder, and what is not. */
export interface ChosenFiles {
  files: (PushFile & { content: string })[];
  leftOut: LeftOut[];
}

/** What adapters, models and their tokenizers are made of, as PEFT, Transformers, llama.cpp and Transformers.js name it. */
const PUBLISHED = [
  /^adapter_(config\.json|model\.safetensors)$/,
  /^(config|generation_config|preprocessor_config|quantize_config)\.json$/,
  /^model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$/,
  /^(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json$/,
  /^(tokenizer\.model|spiece\.model|merges\.txt|qwen\.tiktoken|chat_template\.(jinja|json))$/,
  /^[^/]+\.gguf$/,
  /^Modelfile$/,
  /^(onnx\/)?[^/]+\.onnx(_data|\.data)?(_\d+)?$/,
  /^(README\.md|(LICENSE|NOTICE)(\.(txt|md))?|USE_POLICY\.md)$/,
];

const SECRET =
  /(^|\/)(\.env.*|\.netrc|\.npmrc|\.git-credentials|id_(rsa|dsa|ecdsa|ed25519).*|[^/]*(secret|credential|password|api_?key)[^/]*|token|hf_token[^/]*|[^/]*\.(pem|key|p12|pfx|keystore))$/i;
const DATA =
  /\.(jsonl?|ndjson|csv|tsv|parquet|arrow|txt|pdf|xlsx?|db|sqlite|html?)(\.(gz|zst))?$|\.(gz|zip|zst|tar|tgz)$/i;
const TRAINING = /(^|\/)(optimizer|scheduler|trainer_state|training_args|rng_state|state|log)[^/]*$/i;
const PICKLE = /\.(bin|pt|pth|pkl|ckpt)$/i;

/** Why a file that is no part of a model is left out. */
function reason(path: string): string {
  if (SECRET.test(path)) return "by its name a secret";
  if (/(^|\/)\./.test(path)) return "hidden";
  if (TRAINING.test(path)) return "the training's state";
  if (PICKLE.test(path)) return "a pickle, which can run code where it is loaded";
  if (DATA.test(path)) return "data, or what was made of it";
  return "no part of an adapter or model";
}

/** Folders that are told of as one. */
function folderReason(name: string): string | undefined {
  if (name.startsWith(".")) return "hidden";
  if (/^checkpoint-\d+$/.test(name)) return "the training's state";
  if (/^(tokens|data|datasets?|evaluation)$/.test(name)) return "data, or what was made of it";
  return name === "node_modules" ? "no part of an adapter or model" : undefined;
}

/**
 * Chooses what of a folder is published.
 *
 * @param include patterns of paths in the folder that are published as well, whatever they are
 * @throws UserError where the folder cannot be read, a pattern fits nothing, or nothing is left to publish
 */
export async function chooseFiles(folder: string, include: readonly string[] = []): Promise<ChosenFiles> {
  const found = await walk(folder, "", include);
  for (const pattern of include) {
    if (!found.files.some(({ path }) => matchesGlob(path, pattern))) {
      throw new UserError(`${folder} has no file that fits ${pattern}, which include asks for.`);
    }
  }
  if (found.files.length === 0) {
    throw new UserError(`${folder} holds nothing to publish: no adapter and no model is in it.`);
  }
  const byPath = (a: { path: string }, b: { path: string }) => a.path < b.path ? -1 : 1;
  found.files.sort(byPath);
  found.leftOut.sort(byPath);
  for (const { path } of found.files) checkFileName(path, folder);
  return found;
}

async function walk(folder: string, inside: string, include: readonly string[]): Promise<ChosenFiles> {
  const chosen: ChosenFiles = { files: [], leftOut: [] };
  const entries = await Array.fromAsync(Deno.readDir(join(folder, inside))).catch((error) => {
    throw fileError(error, join(folder, inside), "read");
  });
  for (const { name, isDirectory, isSymlink } of entries) {
    const path = inside + name, asked = include.some((pattern) => matchesGlob(path, pattern));
    if (isDirectory) {
      const below = await walk(folder, `${path}/`, include), why = folderReason(name);
      chosen.files.push(...below.files);
      chosen.leftOut.push(...(why ? asOne(below.leftOut, `${path}/`, why) : below.leftOut));
      continue;
    }
    const { size } = await Deno.stat(join(folder, path)).catch(() => ({ size: 0 }));
    const isPart = PUBLISHED.some((pattern) => pattern.test(path));
    if (asked || isPart && !isSymlink) chosen.files.push({ path, size, content: join(folder, path) });
    else {
      chosen.leftOut.push({ path, size, why: isPart ? "a link, which may lead anywhere" : reason(path) });
    }
  }
  return chosen;
}

function asOne(leftOut: readonly LeftOut[], path: string, why: string): LeftOut[] {
  const size = leftOut.reduce((sum, file) => sum + file.size, 0);
  return leftOut.length === 0 ? [] : [{ path, size, why }];
}

/** Texts in which nobody wants to find a key: of the Hub, OpenAI and its like, AWS, GitHub, Slack; private keys. */
const KEYS =
  /\bhf_[A-Za-z]{30,}|\bsk-[A-Za-z0-9_-]{32,}|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bxox[abps]-[A-Za-z0-9-]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY-----/;
const MOST_TEXT = 32 << 20;

/**
 * Looks for keys in what is about to be published.
 *
 * @param token the user's own, which is never published
 * @throws UserError naming file and line, never the key
 */
export async function refuseSecrets(files: readonly PushFile[], token: string | undefined): Promise<void> {
  for (const { path, size, content } of files) {
    if (size > MOST_TEXT || /\.(safetensors|gguf|onnx|png|model)$/.test(path)) continue;
    const text = typeof content === "string"
      ? await Deno.readTextFile(content)
      : new TextDecoder().decode(content);
    const line = text.split("\n").findIndex((line) => KEYS.test(line) || token && line.includes(token));
    if (line >= 0) {
      throw new UserError(
        `${path}, line ${
          line + 1
        } holds what looks like a key or token: nothing is published, take it out first.`,
      );
    }
  }
}
