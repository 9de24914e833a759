// Publishes an adapter, a model or what a run has left on the Hub, after showing what that is; private if not said otherwise.
//
//   deno run -P=hub examples/publish.ts --source out/finetune --repo me/finance-lora          the run's adapter with its card
//   ... --space                                                                               and a page to talk to it
//   deno run -P=hub examples/publish.ts --help                                                all flags
//
// The token is HF_TOKEN, or that of `hf auth login`. A push that was cut goes on by the same command.

// %% Settings
import { pushToHub, showUserErrors, UserError } from "@fintune/fintune";
import { on, readFlags, text } from "./flags.ts";

showUserErrors();
const flags = readFlags("Publishes on the Hub: publish.ts --source <folder> --repo <owner/name> [flags]", {
  "source": text("Folder of an adapter or model, or of a run"),
  "repo": text("Where to: owner/name"),
  "public": on("Everybody may see it"),
  "base": text("The base's name on the Hub, if the adapter was made with a folder of it"),
  "license": text("Licence, by the Hub's short name or as a link; default: the base's"),
  "language": text("Languages by their codes, separated by commas"),
  "description": text("What the model is for, in a sentence, for its card"),
  "include": text("Patterns of further files, separated by commas: data and logs stay here otherwise"),
  "message": text("First line of the commit", "Upload with fintune"),
  "space": on("Also make a space: a page on the Hub to talk to the model"),
  "yes": on("Do not ask"),
  "quiet": on("No plan and no progress lines"),
});
const { source, repo, message, quiet, space } = flags;
if (!source || !repo) {
  throw new UserError("Name both --source <folder> and --repo <owner/name>; --help shows all flags.");
}
const list = (words: string | undefined) => words?.split(",").map((word) => word.trim());

// %% What is published is shown, then asked about
const done = await pushToHub(source, repo, {
  private: !flags.public,
  baseModel: flags.base,
  include: list(flags.include),
  card: { license: flags.license, language: list(flags.language), description: flags.description },
  space,
  message,
  quiet,
  ...(flags.yes ? { confirm: () => true } : {}),
});
console.log(done ? [done.url, done.spaceUrl].filter(Boolean).join("\n") : "Nothing was published.");
if (done?.spaceUrl && !flags.public) {
  console.log("The space fetches the model when it starts: give it a secret HF_TOKEN that may read it.");
}
