// The run that signals_test.ts sends signals to. It writes a line for every step, and what train() returned.
//   signal_child.ts FOLDER run|block|leave
//   block: after the first signal it computes for 20 s without a pause, as native code does
//   leave: after the run it waits, with listeners of its own gone, for a signal to end it
import { openDevice } from "../lib/engine/open.ts";
import { loadBase, run, start } from "./runs.ts";

const [out, how] = Deno.args;
const say = (line: string) => void Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
const { error } = console;
console.error = (...words: unknown[]) => {
  error(...words);
  if (how !== "block" || !`${words[0]}`.includes("Stopping")) return;
  say("blocked");
  for (const end = Date.now() + 20_000; Date.now() < end;);
};
let others = 0;
const listener = () => void others++;
if (how === "run") Deno.addSignalListener("SIGINT", listener);
const each = start(await loadBase(await openDevice({ backend: "cpu", threads: 1 })));
const report = await run(each, {
  out,
  quiet: false,
  maxSteps: how === "leave" ? 2 : 1e6,
  saveSteps: 1e6,
  resume: "auto",
  onStep: ({ step }) => say(`step ${step}`),
});
say(JSON.stringify({ ...report, others }));
if (how === "leave") setTimeout(() => say("still here"), 20_000);
if (how === "run") Deno.removeSignalListener("SIGINT", listener);
