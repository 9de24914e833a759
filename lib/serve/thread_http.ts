// The thread of HTTP: listens, and asks the main thread, which has the models, over messages. Its imports are few and have no
// bare names, which another project could not resolve.
import type { Piece } from "./choice.ts";
import type { Begun, Engine } from "./engine.ts";
import { Refusal } from "./errors.ts";
import { type Http, listen } from "./http.ts";
import type { SentError, ToHttp, ToMain } from "./messages.ts";

const scope = globalThis as unknown as {
  postMessage(message: ToMain): void;
  onmessage: (event: MessageEvent<ToHttp>) => void;
};

/** A request that the main thread answers. */
interface Asked {
  readonly begun: PromiseWithResolvers<Begun>;
  readonly ready: Piece[];
  ended: boolean;
  error?: SentError;
  wake(): void;
}

const requests = new Map<number, Asked>();
let nextId = 0, http: Http | undefined;

const remote: Engine = {
  ask(request, signal) {
    const id = nextId++;
    const asked: Asked = { begun: Promise.withResolvers(), ready: [], ended: false, wake() {} };
    requests.set(id, asked);
    scope.postMessage({ type: "ask", id, request });
    signal.addEventListener("abort", () => scope.postMessage({ type: "leave", id }));
    return asked.begun.promise;
  },
};

async function* pieces(asked: Asked): AsyncGenerator<Piece, void, void> {
  while (true) {
    while (asked.ready.length > 0) yield asked.ready.shift()!;
    if (asked.error) throw errorOf(asked.error);
    if (asked.ended) return;
    await new Promise<void>((resolve) => asked.wake = resolve);
  }
}

const errorOf = ({ status, message, details }: SentError): Error =>
  status === undefined ? new Error(message) : new Refusal(status, message, details);

function end(id: number, error?: SentError): void {
  const asked = requests.get(id)!;
  requests.delete(id);
  asked.ended = true;
  asked.error = error;
  if (error) asked.begun.reject(errorOf(error)); // nothing where it has begun
  asked.wake();
}

function open(settings: Extract<ToHttp, { type: "listen" }>["settings"]): void {
  try {
    http = listen(settings, remote);
    scope.postMessage({ type: "listening", port: http.port });
    http.finished.then(() => scope.postMessage({ type: "finished" }));
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(`${error}`);
    scope.postMessage({ type: "refused", name, message });
  }
}

scope.onmessage = ({ data }) => {
  if (data.type === "listen") open(data.settings);
  else if (data.type === "stop") http?.stop(data.seconds);
  else if (data.type === "end") end(data.id, data.error);
  else {
    const asked = requests.get(data.id)!;
    if (data.type === "begun") {
      asked.begun.resolve({ promptTokens: data.promptTokens, pieces: pieces(asked) });
    } else {
      asked.ready.push(data.piece);
      asked.wake();
    }
  }
};
