// Lines from a terminal, with arrow keys and a history that is kept in a file; or from a pipe, one after the other.
import { dirname } from "@std/path";
import process from "node:process";
import { createInterface } from "node:readline/promises";
import { UserError } from "@fintune/fintune";

/** Where lines come from. */
export interface Lines {
  /** The next line, without its end; undefined when there are no more, or somebody left by Ctrl-C or Ctrl-D. */
  read(prompt: string): Promise<string | undefined>;
  /** Whether somebody sits there. */
  readonly interactive: boolean;
}

/** Reads from the terminal or the pipe on standard input; `history` names the file of earlier lines. */
export function openLines(history: string): Lines {
  if (!Deno.stdin.isTerminal()) return { interactive: false, read: pipedLines() };
  const earlier = readHistory(history); // the latest first, as readline wants it
  let keeps = true;
  return {
    interactive: true,
    async read(prompt) {
      const line = await ask(prompt, earlier);
      if (line === undefined || line.trim() === "" || line === earlier[0]) return line;
      earlier.unshift(line);
      if (keeps) keeps = keepLine(history, line);
      return line;
    },
  };
}

/** A terminal of its own for each question: between two of them Ctrl-C is a signal, not a key. */
async function ask(prompt: string, history: string[]): Promise<string | undefined> {
  const terminal = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: true,
    history: [...history],
    historySize: 1000,
  });
  try {
    return await new Promise((resolve) => {
      terminal.on("close", () => resolve(undefined)); // Ctrl-D
      terminal.on("SIGINT", () => {
        if (terminal.line === "") return resolve(undefined);
        terminal.write(null, { ctrl: true, name: "e" });
        terminal.write(null, { ctrl: true, name: "u" }); // Ctrl-C takes back what was typed
      });
      terminal.question(prompt).then(resolve, () => resolve(undefined));
    });
  } finally {
    terminal.close();
  }
}

function readHistory(path: string): string[] {
  try {
    return Deno.readTextFileSync(path).split("\n").filter((line) => line !== "").reverse().slice(0, 1000);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw new UserError(`${path} cannot be read as a history of lines: ${(error as Error).message}`);
  }
}

// One line is added to the end: two chats at once do not overwrite each other's. Where it cannot be, the chat goes on.
function keepLine(path: string, line: string): boolean {
  try {
    Deno.mkdirSync(dirname(path), { recursive: true });
    Deno.writeTextFileSync(path, `${line}\n`, { append: true, mode: 0o600 });
    return true;
  } catch (error) {
    console.error(`The history is not kept: ${(error as Error).message}`);
    return false;
  }
}

function pipedLines(): () => Promise<string | undefined> {
  const lines = createInterface({ input: process.stdin, terminal: false })[Symbol.asyncIterator]();
  return async () => {
    const { value, done } = await lines.next();
    return done ? undefined : value;
  };
}
