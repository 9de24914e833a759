// Ctrl-C and its like during a run. The first asks for an end; from then on the system's own way is back, so that the second
// ends the process at once, even while native code computes.

const NAMES: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT", "SIGBREAK"] : ["SIGINT", "SIGTERM"];

/**
 * Calls `ask` at the first signal. Listeners of others stay as they are and are called too.
 *
 * @returns takes the listeners away; a second call does nothing
 */
export function onFirstSignal(ask: () => void): () => void {
  let listening = true;
  const stopListening = () => {
    if (!listening) return;
    listening = false;
    for (const name of NAMES) Deno.removeSignalListener(name, listener);
  };
  const listener = () => {
    stopListening();
    ask();
  };
  for (const name of NAMES) Deno.addSignalListener(name, listener);
  return stopListening;
}

/** A turn of the event loop, in which signals are delivered: chains of promises alone never let them in. */
export function turnOfEventLoop(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
